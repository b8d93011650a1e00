//! Devices of other processes: the figures are those of a local device, and whatever becomes of a
//! server, a training ends with an error and goes on elsewhere.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;
use vae_tests::{Outcome, Program, outcome};

use crate::program;

/// A server process. It is killed when it is dropped.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(program: &Program, flags: &str) -> Self {
        let mut command = program.command(&format!("serve-device --backend flex --json {flags}"));
        let log = std::fs::File::create(program.path("server.log")).unwrap();
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let json: Value = serde_json::from_str(&line).expect("the server has not started");
        Self { child, address: json["address"].as_str().unwrap().to_owned() }
    }

    fn port(&self) -> u16 {
        self.address.rsplit(':').next().unwrap().parse().unwrap()
    }

    fn signal(&self, name: &str) {
        let mut kill = Command::new("kill");
        kill.args([name, &self.child.id().to_string()]);
        assert_eq!(outcome(kill).code, 0);
    }

    /// The processes of its sessions, where the system tells them.
    fn sessions(&self) -> Vec<String> {
        let mut found = Vec::new();
        let Ok(threads) = std::fs::read_dir(format!("/proc/{}/task", self.child.id())) else {
            return found;
        };
        for thread in threads {
            let children = thread.unwrap().path().join("children");
            let children = std::fs::read_to_string(children).unwrap_or_default();
            found.extend(children.split_whitespace().map(str::to_owned));
        }
        assert!(!found.is_empty());
        found
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.port())).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first of two UDP ports in a row that are free.
fn two_free_ports() -> u16 {
    let bind = |port| UdpSocket::bind(("127.0.0.1", port));
    (20_000..30_000).step_by(2).find(|port| bind(*port).and(bind(port + 1)).is_ok()).unwrap()
}

/// Waits until none of these processes is there any more.
fn wait_for_the_end_of(processes: &[String]) {
    for id in processes {
        // An ended one may wait for the system to take note of it.
        let lives = || {
            let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
            status.lines().any(|line| line.starts_with("State:") && !line.contains('Z'))
        };
        let mut looks = 0;
        while lives() {
            looks += 1;
            assert!(looks < 1000, "process {id} has not ended");
            sleep(Duration::from_millis(20));
        }
    }
}

/// What the server said so far.
fn log(program: &Program) -> String {
    std::fs::read_to_string(program.path("server.log")).unwrap()
}

fn lines_with(log: &str, words: &str) -> usize {
    log.lines().filter(|line| line.contains(words)).count()
}

/// The losses of the steps of a run.
fn losses(program: &Program, run: &str) -> Vec<f64> {
    let text = std::fs::read_to_string(program.path(&format!("{run}/metrics.jsonl"))).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|o| o["average"] == "steps").map(|o| o["loss"].as_f64().unwrap()).collect()
}

const TRAIN: &str = "train mnist-mlp --data digits -q --epochs 1000000 --set train.sheet_every=0 \
     --set train.log_every=1 --set model.encoder.hidden=[64]";

#[test]
fn losses_are_those_of_the_same_device_here() {
    let program = program();
    let server = Server::start(&program, "--port 0");
    let remote = format!("--backend remote:{}", server.address);
    program.ok(&format!("{TRAIN} --limit 1000 --max-steps 300 --out runs/there {remote}"));
    program.ok(&format!("{TRAIN} --limit 1000 --max-steps 300 --out runs/here --backend flex"));
    let (there, here) = (losses(&program, "runs/there"), losses(&program, "runs/here"));
    assert_eq!((there.len(), here.len()), (300, 300));
    // Here operations of our own round otherwise: docs/remote.md has the comparison without them.
    for (there, here) in there.iter().zip(&here) {
        assert!((there - here).abs() < 1e-3 * here.abs(), "{there} {here}");
    }
    // Every command that computes can compute there.
    for command in ["evaluate --limit 20", "sample --n 4", "encode --out z.npy --limit 9"] {
        program.ok(&format!("{command} --run runs/there {remote}"));
    }
    let found = program.ok(&format!("doctor {remote} --json")).json();
    assert_eq!(found["backends"][0]["available"], true, "{found}");
    let speed =
        program.ok(&format!("bench --only training --steps 4 --time-limit 1 --json {remote}"));
    assert!(speed.json()["images_per_second"].as_f64().unwrap() > 0.0);
    // The transport makes no difference.
    let server = Server::start(&program, "--port 0 --transport iroh");
    assert!(server.address.starts_with("iroh:"), "{}", server.address);
    let encrypted = format!("--out runs/encrypted --backend remote:{}", server.address);
    program.ok(&format!("{TRAIN} --limit 1000 --max-steps 60 {encrypted}"));
    assert_eq!(losses(&program, "runs/encrypted"), there[..60]);
    // The checkpoint is one like any other.
    program.ok("train --resume --out runs/there --backend flex --max-steps 305 -q");
    let info = program.ok("info runs/there --json").json();
    assert_eq!(info["progress"]["step"], 305);
}

/// Starts a training that would go on for long, and waits for its first checkpoint.
fn start(program: &Program, out: &str, server: &Server) -> Child {
    let mut command = program.command(&format!(
        "{TRAIN} --limit 100 --batch-size 50 --out {out} \
         --backend remote:{}",
        server.address
    ));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let last = program.path(&format!("{out}/checkpoints/last.vae"));
    while !last.exists() {
        assert!(child.try_wait().unwrap().is_none(), "the training has ended");
        sleep(Duration::from_millis(20));
    }
    child
}

fn end(child: Child) -> Outcome {
    let output = child.wait_with_output().unwrap();
    Outcome {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[test]
fn a_training_whose_server_is_killed_says_how_to_go_on_and_does() {
    let program = program();
    let mut all = Vec::new();
    // Twenty moments between the first checkpoint and some steps later.
    for moment in 0..20 {
        let run = format!("runs/{moment}");
        let mut server = Server::start(&program, "--port 0");
        let child = start(&program, &run, &server);
        sleep(Duration::from_millis(moment * moment / 4));
        let sessions = server.sessions();
        server.child.kill().unwrap();
        let ended = end(child);
        wait_for_the_end_of(&sessions);
        assert_eq!(ended.code, 1, "{ended:?}");
        ended.says(&[
            "was lost",
            &format!("{run}/checkpoints/last.vae"),
            &format!("vae-cli train --resume --out {run} --backend remote:ws://"),
        ]);
        let info = program.ok(&format!("info {run} --json")).json();
        let more = info["progress"]["step"].as_u64().unwrap() + 6;
        // Elsewhere.
        program.ok(&format!("train --resume --out {run} --backend flex --max-steps {more} -q"));
        all.push(losses(&program, &run));
    }
    // One that was never disturbed has the same figures.
    let longest = all.iter().map(Vec::len).max().unwrap();
    program.ok(&format!(
        "{TRAIN} --limit 100 --batch-size 50 --max-steps {longest} --out runs/whole --backend flex"
    ));
    let whole = losses(&program, "runs/whole");
    for lost in all {
        assert!(lost.len() >= 6);
        for (lost, whole) in lost.iter().zip(&whole) {
            assert!((lost - whole).abs() < 1e-3 * whole.abs(), "{lost} {whole}");
        }
    }
}

#[test]
fn a_server_that_stands_still_or_never_answers_is_an_error() {
    let program = program();
    // This one accepts connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = silent.local_addr().unwrap();
    let accepts = std::thread::spawn(move || {
        let (stream, _) = silent.accept().unwrap();
        (silent, stream)
    });
    let mut command = program.command(&format!("sample --backend remote:ws://{place} --n 1"));
    let unanswered = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();

    let mut ends = Vec::new();
    for (run, flags, signal, seen) in [
        ("runs/frozen", "--port 0", "-STOP", "does not answer"),
        ("runs/frozen-iroh", "--port 0 --transport iroh", "-STOP", "does not answer"),
        ("runs/killed-iroh", "--port 0 --transport iroh", "-KILL", "its session ended"),
    ] {
        let server = Server::start(&program, flags);
        let child = start(&program, run, &server);
        server.signal(signal);
        ends.push((run, child, server, seen));
    }
    for (run, child, _server, seen) in ends {
        let ended = end(child);
        assert_eq!(ended.code, 1, "{ended:?}");
        let resume = format!("vae-cli train --resume --out {run}");
        ended.says(&["was lost", seen, &resume]);
    }
    let ended = end(unanswered);
    assert_eq!(ended.code, 1, "{ended:?}");
    ended.says(&["no answer", "serve-device"]);
    drop(accepts);
}

#[test]
fn only_the_token_lets_a_client_in() {
    let program = program();
    let server = Server::start(&program, "--port 0 --token-file secret");
    let token = std::fs::read_to_string(program.path("secret")).unwrap();
    let sample = format!("sample --n 1 --backend remote:{}", server.address);
    program.fails(2, &sample, &["wants a token", "--token-file", "VAE_REMOTE_TOKEN"]);
    let with = |text: &str| {
        let mut command = program.command(&sample);
        command.env("VAE_REMOTE_TOKEN", text);
        outcome(command)
    };
    let refused = with("wrong");
    assert_eq!(refused.code, 2, "{refused:?}");
    refused.says(&["does not accept this token"]);
    assert_eq!(with(&token).code, 0);
    program.ok(&format!("{sample} --token-file secret"));
    let log = log(&program);
    assert_eq!(lines_with(&log, "wrong token"), 2, "{log}");
    assert!(!log.contains(token.trim()), "{log}");
    // With iroh there is a door for it.
    let door = Server::start(&program, "--port 0 --transport iroh --token-file secret");
    let sample = format!("sample --n 1 --backend remote:{}", door.address);
    program.fails(2, &sample, &["wants a token"]);
    program.ok(&format!("{sample} --token-file secret"));
    // The token is private, and one that others may read is not used.
    let mut chmod = Command::new("chmod");
    chmod.arg("644").arg(program.path("secret"));
    outcome(chmod);
    program.fails(2, &format!("{sample} --token-file secret"), &["chmod 600"]);
    program.fails(2, "serve-device --port 0 --host 0.0.0.0", &["token", "--token-file"]);
}

#[test]
fn strangers_are_turned_away_and_the_server_serves_on() {
    let program = program();
    let server = Server::start(&program, "--port 0 --max-sessions 1");
    let memory = || -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    let before = memory();
    let upgrade = "GET /session HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    // A message of a gigabyte, as a client must send it: with a mask.
    let large = [&[0x82, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 0, 1, 2, 3, 4][..], &[7; 1 << 16]].concat();
    // The beginning of a session, by a Burn of another version: Init of [3, [1], 0, no token].
    let init = b"\x91\x81\xa4Init\x94\x03\x91\x01\x00\xc4\x00";
    let newer = [&[0x82, 0x80 | init.len() as u8, 0, 0, 0, 0][..], init].concat();
    let ping = [0x89, 0x80, 1, 2, 3, 4];
    let endless = "x".repeat(1 << 16);
    let strangers = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        format!("GET /session HTTP/1.1\r\nX: {endless}").into_bytes(),
        upgrade.replace("Host: a", "Host: a\r\nOrigin: http://a").into_bytes(),
        [upgrade.as_bytes(), &large].concat(),
        [upgrade.as_bytes(), &ping].concat(),
        [upgrade.as_bytes(), &newer].concat(),
        b"GET /session HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        upgrade.into(),
        Vec::new(),
    ];
    // Some close at once, some are held open. None takes the only session.
    let mut held = Vec::new();
    for bytes in &strangers {
        let mut stream = server.connect();
        // It may be closed before all is sent.
        let _ = stream.write_all(bytes);
        held.push(stream);
    }
    let sample = format!("sample --n 1 --backend remote:{}", server.address);
    program.ok(&sample);
    for stream in &mut held {
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        // The server closes each of them.
        if let Err(e) = stream.read_to_end(&mut Vec::new()) {
            assert_eq!(e.kind(), std::io::ErrorKind::ConnectionReset);
        }
    }
    for why in [
        "does not speak WebSocket",
        "something else than a device",
        "its request is too long",
        "it is a web page",
        "its handshake is too long",
        "does not begin a session",
        "protocol version 3",
        "no handshake",
        "no request",
    ] {
        // The line follows when the connection is closed.
        let mut looks = 0;
        while !log(&program).contains(why) {
            looks += 1;
            assert!(looks < 1000, "{why} is not in: {}", log(&program));
            sleep(Duration::from_millis(20));
        }
    }
    for _ in 0..120 {
        for bytes in &strangers {
            let mut stream = server.connect();
            let _ = stream.write_all(bytes);
        }
    }
    program.ok(&sample);
    assert!(memory() < before + 100_000, "{before} kB, then {} kB", memory());
    assert!(log(&program).lines().count() < 200, "{}", log(&program));
}

#[test]
fn a_server_limits_sessions_and_memory() {
    let program = program();
    let server = Server::start(&program, "--port 0 --max-sessions 1");
    let mut child = start(&program, "runs/one", &server);
    let second = format!("sample --n 1 --backend remote:{}", server.address);
    program.fails(1, &second, &["all sessions of this server are taken"]);
    assert!(log(&program).contains("all 1 sessions are taken"));
    child.kill().unwrap();
    child.wait().unwrap();
    // The session of a client that is gone is free.
    program.ok(&second);
    drop(server);

    // So it is with iroh, whose sessions have ports of their own: here the only one after the server's.
    let flags = format!("--port {} --max-sessions 1 --transport iroh", two_free_ports());
    let server = Server::start(&program, &flags);
    for _ in 0..2 {
        program.ok(&format!("sample --n 1 --backend remote:{}", server.address));
    }
    drop(server);

    for transport in ["ws", "iroh"] {
        let server =
            Server::start(&program, &format!("--port 0 --memory 0.3 --transport {transport}"));
        let mut small = start(&program, &format!("runs/small-{transport}"), &server);
        let large = program.run(&format!(
            "train mnist-mlp --data digits --limit 8000 -q --epochs 1000 --batch-size 8000 \
             --set model.encoder.hidden=[2000,2000,2000] --out runs/large-{transport} \
             --backend remote:{}",
            server.address
        ));
        assert_eq!(large.code, 1, "{large:?}");
        large.says(&["was lost", "its session ended"]);
        let why = "used more than 0.3 GB of memory";
        assert_eq!(lines_with(&log(&program), why), 1, "{}", log(&program));
        assert_eq!(large.stderr.contains(why), transport == "iroh", "{large:?}");
        // The other session goes on.
        let metrics = program.path(&format!("runs/small-{transport}/metrics.jsonl"));
        let length = || std::fs::metadata(&metrics).unwrap().len();
        let before = length();
        while length() == before {
            assert!(small.try_wait().unwrap().is_none(), "the training has ended");
            sleep(Duration::from_millis(20));
        }
        small.kill().unwrap();
        small.wait().unwrap();
    }
}

/// The cells of the table of a sweep.
fn table(program: &Program, out: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(program.path(&format!("{out}/table.csv"))).unwrap();
    text.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

#[test]
fn a_sweep_over_two_servers_of_which_one_is_killed_has_the_table_of_one_machine() {
    let program = program();
    let sweep = "base = \"mnist-mlp\"\nseeds = [0, 1]\n[set]\n\"data.source\" = \"digits\"\n\
                 \"data.limit\" = 200\n\"train.epochs\" = 3\n\"train.sheet_every\" = 0\n\
                 \"model.encoder.hidden\" = [32]\n[grid]\n\"objective.beta\" = [1.0, 2.0, 4.0, 8.0]\n";
    std::fs::write(program.path("s.toml"), sweep).unwrap();
    let [first, second] = [0, 1].map(|_| Server::start(&program, "--port 0"));
    let devices = format!("remote:{},remote:{}", first.address, second.address);
    let mut command = program
        .command(&format!("sweep s.toml --out there --limit 100 --json --devices {devices}"));
    let mut sweep = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Half-way one is killed.
    let runs = program.path("there/runs");
    let started = || std::fs::read_dir(&runs).map_or(0, Iterator::count);
    while started() < 4 {
        assert!(sweep.try_wait().unwrap().is_none(), "the sweep has ended");
        sleep(Duration::from_millis(20));
    }
    drop(first);
    let ended = end(sweep);
    assert_eq!(ended.json()["done"], 8, "{ended:?}");
    program.ok("sweep s.toml --out here --limit 100 --backend flex -q");
    let (there, here) = (table(&program, "there"), table(&program, "here"));
    assert_eq!(there.len(), 5);
    assert_eq!(there[0], here[0]);
    for (there, here) in there.iter().zip(&here) {
        for (a, b) in there.iter().zip(here) {
            match (a.parse::<f64>(), b.parse::<f64>()) {
                (Ok(a), Ok(b)) => assert!((a - b).abs() <= 0.02 * b.abs() + 1e-3, "{a} {b}"),
                _ => assert_eq!(a, b),
            }
        }
    }
    // The only device goes away and comes back.
    let port = format!("--port {}", second.port());
    let only = format!("--devices remote:{}", second.address);
    let mut command = program.command(&format!("sweep s.toml --out again --limit 100 {only}"));
    let mut sweep = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let runs = program.path("again/runs");
    while std::fs::read_dir(&runs).map_or(0, Iterator::count) < 2 {
        assert!(sweep.try_wait().unwrap().is_none(), "the sweep has ended");
        sleep(Duration::from_millis(20));
    }
    drop(second);
    let mut said = BufReader::new(sweep.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(said.any(|line| line.contains("was lost")));
    let second = Server::start(&program, &port);
    assert!(said.any(|line| line.contains("is back")));
    assert_eq!(said.filter(|line| line.contains("8/8")).count(), 1);
    assert_eq!(end(sweep).code, 0);
    let again = std::fs::read_to_string(program.path("again/table.csv")).unwrap();
    assert_eq!(again.lines().count(), 5);
    let twice =
        format!("sweep s.toml --out twice --devices flex,remote:{0},remote:{0}", second.address);
    program.fails(2, &twice, &["twice"]);
    program.fails(2, "sweep s.toml --out twice --devices flex,nothing", &["nothing", "possible"]);
}

#[test]
fn one_run_on_two_servers_is_that_of_one_device_and_goes_on_without_them() {
    let program = program();
    let servers = [0, 1].map(|_| Server::start(&program, "--port 0 --transport iroh"));
    let [first, second] = &servers;
    let on_first = format!("--out runs/one --backend remote:{}", first.address);
    program.ok(&format!("{TRAIN} --limit 1000 --max-steps 100 {on_first}"));
    let one = losses(&program, "runs/one");
    let loud = TRAIN.replace(" -q", "");
    let on_both = |run: &str, first: &str, second: &str| {
        let mut command =
            program.command(&format!("{loud} --limit 1000 --max-steps 100 --out {run}"));
        let devices = format!("train.devices=[\"remote:{first}\",\"remote:{second}\"]");
        command.args(["--set", &devices]);
        let done = outcome(command);
        assert_eq!(done.code, 0, "{done:?}");
        done.says(&["steps/s on the first device alone", "on 2"]);
        let both = losses(&program, run);
        assert_eq!(both.len(), 100);
        for (both, one) in both.iter().zip(&one) {
            assert!((both - one).abs() < 1e-5 * one.abs(), "{both} {one}");
        }
    };
    on_both("runs/both", &first.address, &second.address);
    // Two devices of one server.
    let of_two = "--port 0 --transport iroh --backend flex";
    let server = Server::start(&program, of_two);
    on_both("runs/within", &server.address, &format!("{}#1", server.address));
    drop(server);
    // One of them is lost.
    let resume = "train --resume --out runs/both -q";
    let mut command = program.command(&format!("{resume} --max-steps 1000000"));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let log = program.path("runs/both/metrics.jsonl");
    let length = || std::fs::metadata(&log).unwrap().len();
    let before = length();
    while length() == before {
        assert!(child.try_wait().unwrap().is_none(), "the training has ended");
        sleep(Duration::from_millis(20));
    }
    let [_first, second] = servers;
    drop(second);
    let ended = end(child);
    assert_eq!(ended.code, 1, "{ended:?}");
    ended.says(&["was lost", "vae-cli train --resume", "--set 'train.devices=[]'"]);
    let on_flex = format!("{resume} --backend flex");
    program.fails(2, &on_flex, &["not the first of train.devices"]);
    let info = program.ok("info runs/both --json").json();
    let more = info["progress"]["step"].as_u64().unwrap() + 3;
    program.ok(&format!("{on_flex} --set train.devices=[] --max-steps {more}"));
    let mut command = program.command(TRAIN);
    command.args(["--set", "train.devices=[\"remote:ws://a:1\",\"remote:ws://b:1\"]"]);
    let refused = outcome(command);
    assert_eq!(refused.code, 2, "{refused:?}");
    refused.says(&["--transport iroh"]);
}

#[test]
fn a_name_of_the_configuration_stands_for_an_address() {
    let program = program();
    let server = Server::start(&program, "--port 0");
    let configuration = program.path("home/vae-cli/config.toml");
    std::fs::create_dir_all(configuration.parent().unwrap()).unwrap();
    std::fs::write(&configuration, format!("[remote]\ngpu = \"{}\"\n", server.address)).unwrap();
    let mut command = program.command("sample --n 1 --backend remote:gpu");
    command.env("XDG_CONFIG_HOME", program.path("home"));
    let sampled = outcome(command);
    assert_eq!(sampled.code, 0, "{sampled:?}");
}

#[test]
fn a_wrong_request_is_refused_with_what_to_do() {
    let program = program();
    for (arguments, words) in [
        ("sample --backend remote", &["remote:ADDRESS", "ws://HOST:PORT"][..]),
        ("sample --backend remote:gpu", &["no address", "[remote]", "ws://HOST:PORT"]),
        ("sample --backend remote:iroh:gpu", &["`gpu` is no ID", "iroh:ID"]),
        ("serve-device --port 0 --relays public", &["--transport iroh"]),
        ("serve-device --port 0 --transport iroh --relays public", &["--host"]),
        ("serve-device --port 0 --transport iroh --relays no", &["disabled"]),
        ("sample --backend remote:wss://gpu:7", &["TLS"]),
        ("sample --backend nothing:ws://gpu:7", &["nothing:ws://gpu:7", "possible values"]),
        ("serve-device --port 0 --backend remote:ws://a:7", &["remote itself"]),
        ("serve-device --port 0 --backend flex --backend ndarray", &["flex and ndarray", "two"]),
        ("serve-device --port 0 --max-sessions 0", &["1 to"]),
        ("serve-device --port 65530 --transport iroh", &["8 sessions", "smaller port"]),
        ("serve-device --port 0 --session", &["the process of a session"]),
        ("serve-device --port 70000", &["70000"]),
        ("serve-device --port 0 --host gpu", &["invalid"]),
    ] {
        program.fails(2, arguments, words);
    }
    let server = Server::start(&program, "--port 0");
    program.fails(2, &format!("serve-device --port {}", server.port()), &["another port"]);
    let none = format!("sample --backend remote:{}#3", server.address);
    program.fails(2, &none, &["1 devices"]);
    // Ctrl-C ends a server without an error.
    server.signal("-INT");
    let mut server = server;
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
}
