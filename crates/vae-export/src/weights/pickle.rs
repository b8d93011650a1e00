//! Refuses a `.pt` file whose pickle has anything but tensors.
//!
//! A pickle is a program: it can name any function of Python and call it. Nothing here or in
//! `pytorch-reader` runs one. But a file that asks for more than tensors need is not what it seems,
//! so it is refused. The rule is that of `torch.load(.., weights_only=True)`: instructions and names
//! must be in a list.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use zip::ZipArchive;

/// Largest pickle that is read, in bytes. It has names and shapes; the numbers are elsewhere.
const MAX_BYTES: u64 = 16 << 20;
/// Most entries of an archive: each tensor has one.
const MAX_ENTRIES: usize = 1 << 20;

/// What the pickle of a state dict may name.
const ALLOWED: [&str; 16] = [
    "collections.OrderedDict",
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_parameter",
    "torch.FloatStorage",
    "torch.DoubleStorage",
    "torch.HalfStorage",
    "torch.BFloat16Storage",
    "torch.LongStorage",
    "torch.IntStorage",
    "torch.ShortStorage",
    "torch.CharStorage",
    "torch.ByteStorage",
    "torch.BoolStorage",
    "torch.storage.UntypedStorage",
    "torch.storage.TypedStorage",
];

/// Checks the pickles of the `.pt` file at `path`.
///
/// # Errors
/// If the file is no such archive, if a pickle is too large, or if it has anything but tensors.
pub fn check(path: &Path) -> Result<(), String> {
    let file = File::open(path).map_err(|e| e.to_string())?;
    let damaged = |e: zip::result::ZipError| format!("damaged or not a .pt file ({e})");
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(damaged)?;
    if archive.len() > MAX_ENTRIES {
        return Err(format!("{} entries are too many for a .pt file", archive.len()));
    }
    let mut pickles = 0;
    for i in 0..archive.len() {
        let entry = archive.by_index(i).map_err(damaged)?;
        if !entry.name().map_err(damaged)?.ends_with("data.pkl") {
            continue;
        }
        let mut bytes = Vec::new();
        let read = entry.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
        if read as u64 > MAX_BYTES {
            return Err(format!("its pickle has more than {MAX_BYTES} bytes"));
        }
        check_pickle(&bytes)?;
        pickles += 1;
    }
    match pickles {
        0 => Err("a zip archive, but not a .pt file: it has no data.pkl".to_owned()),
        _ => Ok(()),
    }
}

/// Checks the instructions of a pickle and the names in it.
fn check_pickle(bytes: &[u8]) -> Result<(), String> {
    let mut rest = bytes;
    loop {
        let at = bytes.len() - rest.len();
        let cut = || format!("its pickle ends early, at byte {at}");
        let (&code, after) = rest.split_first().ok_or_else(cut)?;
        rest = after;
        // The number of bytes that follow an instruction.
        let length = match code {
            // STOP.
            b'.' => return Ok(()),
            // GLOBAL: the lines of a module and of a name.
            b'c' => {
                let mut line = || {
                    let end = rest.iter().position(|b| *b == b'\n')?;
                    let line = String::from_utf8_lossy(&rest[..end]).into_owned();
                    rest = &rest[end + 1..];
                    Some(line)
                };
                let (module, name) = (line().ok_or_else(cut)?, line().ok_or_else(cut)?);
                let name = format!("{module}.{name}");
                if !ALLOWED.contains(&name.as_str()) {
                    return Err(format!(
                        "its pickle names `{}`, and tensors do not need that: it may run code, so \
                         the file is refused and nothing was run; if you trust the file, load it in \
                         Python and save the tensors alone: torch.save(model.state_dict(), FILE)",
                        name.escape_debug()
                    ));
                }
                0
            }
            // MARK, TUPLE, TUPLE1 to TUPLE3, EMPTY_TUPLE, EMPTY_LIST, EMPTY_DICT, APPEND, APPENDS,
            // SETITEM, SETITEMS, REDUCE, BUILD, BINPERSID, NONE, NEWTRUE, NEWFALSE.
            b'('
            | b't'
            | 0x85..=0x87
            | b')'
            | b']'
            | b'}'
            | b'a'
            | b'e'
            | b's'
            | b'u'
            | b'R'
            | b'b'
            | b'Q'
            | b'N'
            | 0x88
            | 0x89 => 0,
            // PROTO, BININT1, BINGET, BINPUT.
            0x80 | b'K' | b'h' | b'q' => 1,
            // BININT2.
            b'M' => 2,
            // BININT, LONG_BINGET, LONG_BINPUT.
            b'J' | b'j' | b'r' => 4,
            // BINFLOAT.
            b'G' => 8,
            // SHORT_BINSTRING, LONG1.
            b'U' | 0x8a => 1 + usize::from(*rest.first().ok_or_else(cut)?),
            // BINSTRING, BINUNICODE.
            b'T' | b'X' => {
                let length = u32::from_le_bytes(*rest.first_chunk().ok_or_else(cut)?);
                4usize.saturating_add(usize::try_from(length).unwrap_or(usize::MAX))
            }
            _ => {
                return Err(format!(
                    "its pickle has the instruction {code:#04x} at byte {at}, which torch.save does \
                     not write for tensors: the file is refused and nothing was run; save it again \
                     with torch.save(model.state_dict(), FILE)"
                ));
            }
        };
        rest = rest.get(length..).ok_or_else(cut)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pickle of protocol 2 of an `OrderedDict` with `inner` as its only item.
    fn pickle(inner: &[u8]) -> Vec<u8> {
        [&b"\x80\x02ccollections\nOrderedDict\nq\x00)Rq\x01X\x01\x00\x00\x00a"[..], inner, b"s."]
            .concat()
    }

    #[test]
    fn a_pickle_of_plain_values_passes() {
        check_pickle(&pickle(b"K\x07")).unwrap();
        check_pickle(&pickle(
            b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nJ\x01\x00\x00\x00tQ",
        ))
        .unwrap();
    }

    #[test]
    fn a_call_is_refused_also_if_its_result_is_dropped() {
        let dropped = b"cposix\nsystem\nX\x02\x00\x00\x00ls\x85R0K\x07";
        let error = check_pickle(&pickle(dropped)).unwrap_err();
        assert!(error.contains("`posix.system`"), "{error}");
        // STACK_GLOBAL of protocol 4, INST and OBJ name things in other ways; POP hides them.
        for code in [0x93, b'i', b'o', b'0'] {
            let error = check_pickle(&pickle(&[code])).unwrap_err();
            assert!(error.contains("instruction"), "{error}");
        }
    }

    #[test]
    fn names_are_shown_without_control_characters() {
        let error = check_pickle(&pickle(b"cos\x1b[2J\nx\n")).unwrap_err();
        assert!(!error.contains('\x1b') && error.contains("\\u{1b}"), "{error}");
    }

    #[test]
    fn every_cut_of_a_pickle_is_an_error() {
        let whole = pickle(b"X\x03\x00\x00\x00abc");
        for length in 0..whole.len() {
            assert!(check_pickle(&whole[..length]).is_err(), "{length}");
        }
        check_pickle(&pickle(b"X\xff\xff\xff\xff")).unwrap_err();
    }
}
