//! Devices of other processes: the figures are those of a local device, and whatever becomes of a
//! server, a training ends with an error and goes on elsewhere.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
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
    // The checkpoint is one like any other.
    program.ok("train --resume --out runs/there --backend flex --max-steps 305 -q");
    let info = program.ok("info runs/there --json").json();
    assert_eq!(info["progress"]["step"], 305);
}

/// Starts a training that would go on for long, and waits for its first checkpoint.
fn start(program: &Program, out: &str, server: &Server) -> Child {
    let mut command = program.command(&format!(
        "{TRAIN} --limit 100 --batch-size 50 --set train.log_every=5 --out {out} \
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
    for wait in [0, 11, 29, 83] {
        let _ = std::fs::remove_dir_all(program.path("runs"));
        let mut server = Server::start(&program, "--port 0");
        let child = start(&program, "runs/lost", &server);
        sleep(Duration::from_millis(wait));
        server.child.kill().unwrap();
        let ended = end(child);
        assert_eq!(ended.code, 1, "{ended:?}");
        ended.says(&[
            "was lost",
            "runs/lost/checkpoints/last.vae",
            "vae-cli train --resume --out runs/lost --backend remote:ws://",
        ]);
        let reached =
            program.ok("info runs/lost --json").json()["progress"]["step"].as_u64().unwrap();
        let more = reached + 6;
        // Elsewhere, and never disturbed: the same figures.
        program.ok(&format!("train --resume --out runs/lost --backend flex --max-steps {more} -q"));
        program.ok(&format!(
            "{TRAIN} --limit 100 --batch-size 50 --max-steps {more} --out runs/whole \
             --backend flex"
        ));
        let (lost, whole) = (losses(&program, "runs/lost"), losses(&program, "runs/whole"));
        let (lost, whole) = (lost.last().unwrap(), whole.last().unwrap());
        assert!((lost - whole).abs() < 0.01 * whole.abs(), "{lost} {whole}");
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

    let server = Server::start(&program, "--port 0");
    let child = start(&program, "runs/frozen", &server);
    server.signal("-STOP");
    let ended = end(child);
    assert_eq!(ended.code, 1, "{ended:?}");
    ended.says(&["was lost", "does not answer", "vae-cli train --resume --out runs/frozen"]);
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
    let server = Server::start(&program, "--port 0 --max-sessions 2");
    let memory = || -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    let before = memory();
    let upgrade = "GET /session HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    // A scanner's bytes, another page, a request without end, a handshake without end, nothing at all.
    let endless = "x".repeat(1 << 16);
    let flood = [0x82, 0xff].repeat(1 << 15);
    let mut held = Vec::new();
    for round in 0..200 {
        for bytes in [
            &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            format!("GET /session HTTP/1.1\r\nX: {endless}").as_bytes(),
            [upgrade.as_bytes(), &flood].concat().as_slice(),
            b"",
        ] {
            let mut stream = server.connect();
            // It may be closed before all is sent.
            let _ = stream.write_all(bytes);
            if round < 4 {
                held.push(stream);
            }
        }
    }
    let sample = format!("sample --n 1 --backend remote:{}", server.address);
    program.ok(&sample);
    // One that asks for a session and then says nothing takes none.
    let mut idle = server.connect();
    idle.write_all(upgrade.as_bytes()).unwrap();
    let mut rest = Vec::new();
    idle.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    // The server closes it.
    let _ = idle.read_to_end(&mut rest);
    drop(held);
    program.ok(&sample);
    assert!(memory() < before + 100_000, "{before} kB, then {} kB", memory());
    let log = log(&program);
    for why in ["does not speak WebSocket", "something else than a device", "no handshake"] {
        assert!(log.contains(why), "{why} is not in: {log}");
    }
}

#[test]
fn a_server_limits_sessions_and_memory() {
    let program = program();
    let server = Server::start(&program, "--port 0 --max-sessions 1");
    let mut child = start(&program, "runs/one", &server);
    let second = format!("sample --n 1 --backend remote:{}", server.address);
    program.fails(1, &second, &["cannot be reached"]);
    assert!(log(&program).contains("all 1 sessions are taken"));
    child.kill().unwrap();
    child.wait().unwrap();
    // The session of a client that is gone is free.
    program.ok(&second);
    drop(server);

    let server = Server::start(&program, "--port 0 --memory 0.001");
    let ended = program
        .run(&format!("{TRAIN} --limit 1000 --out runs/large --backend remote:{}", server.address));
    assert_eq!(ended.code, 1, "{ended:?}");
    ended.says(&["was lost", "the server ended the connection"]);
    assert!(log(&program).contains("the newest session was ended"));
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
    let sweep = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Half-way one is killed.
    let runs = program.path("there/runs");
    let started = || std::fs::read_dir(&runs).map_or(0, Iterator::count);
    while started() < 4 {
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
    let twice =
        format!("sweep s.toml --out twice --devices flex,remote:{0},remote:{0}", second.address);
    program.fails(2, &twice, &["twice"]);
    program.fails(2, "sweep s.toml --out twice --devices flex,nothing", &["nothing", "possible"]);
}

#[test]
fn a_wrong_request_is_refused_with_what_to_do() {
    let program = program();
    for (arguments, words) in [
        ("sample --backend remote", &["remote:ws://HOST:PORT"][..]),
        ("sample --backend remote:gpu", &["no address", "ws://HOST:PORT"]),
        ("sample --backend remote:wss://gpu:7", &["TLS"]),
        ("sample --backend nothing:ws://gpu:7", &["nothing:ws://gpu:7", "possible values"]),
        ("serve-device --port 0 --backend remote:ws://a:7", &["remote itself"]),
        ("serve-device --port 0 --backend flex --backend ndarray", &["flex and ndarray", "two"]),
        ("serve-device --port 0 --max-sessions 0", &["1 to"]),
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
