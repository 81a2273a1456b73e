//! Whether a machine runs a kernel here: found out by letting it. A `/dev/kvm` that answers may still be another's emulation, which makes a machine
//! and never brings an ordinary kernel through its start.
//!
//! The machine has this kernel and one program, which says a word on the console and goes off. It has no network and no disk.

use super::Accelerator;
use crate::failure::Failure;
use crate::image::build::CONSOLE;
use crate::image::cpio::{self, Node, Tree};
use crate::image::kernel;
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A machine that has not said its word by then will not. Where the processor runs it, it takes a second; an emulated one on a busy host, many.
const fn patience(accelerator: Accelerator) -> Duration {
    Duration::from_secs(match accelerator {
        Accelerator::Kvm => 40,
        Accelerator::Tcg => 100,
    })
}
/// How often is looked.
const LOOK: Duration = Duration::from_millis(20);
const QEMU: &str = "qemu-system-x86_64";
/// What QEMU says where KVM gives up on a machine, which then stands still.
const GIVEN_UP: &str = "KVM internal error";
/// How much of what was said last is shown.
const SHOWN: usize = 160;

/// What the program in the machine says.
const WORD: &[u8] = b"cloakroom: a program runs here\n";

/// What a trial came to.
#[derive(Debug)]
pub(crate) enum Trial {
    /// The program said its word after this time.
    Runs(Duration),
    /// It did not, and this was seen instead.
    Fails(String),
}

/// Lets a machine run this kernel, for a bounded time.
///
/// # Errors
/// Where it cannot be tried: there is no QEMU, or that is no kernel.
pub(crate) fn trial(accelerator: Accelerator, kernel: &Path) -> Result<Trial, Failure> {
    let patience = patience(accelerator);
    let place = tempfile::Builder::new().prefix("cloakroom-trial-").tempdir()?;
    let at = |name: &str| place.path().join(name);
    std::fs::write(at("vmlinux"), kernel::bootable(kernel)?)?;
    std::fs::write(at("root.cpio"), root())?;
    let begun = Instant::now();
    let mut machine = Machine(start(accelerator, place.path())?);
    loop {
        let said = said(&at("console"));
        let complaints = self::said(&at("complaints"));
        if said.contains(std::str::from_utf8(WORD).unwrap_or_default().trim_end()) {
            return Ok(Trial::Runs(begun.elapsed()));
        }
        let last = last_line(&said);
        if complaints.contains(GIVEN_UP) {
            return Ok(Trial::Fails(format!("{}; the kernel had come to {last}", first_lines(&complaints))));
        }
        if machine.0.try_wait()?.is_some() {
            return Ok(Trial::Fails(format!(
                "QEMU ended: {}; the kernel had come to {last}",
                first_lines(&complaints)
            )));
        }
        if begun.elapsed() > patience {
            return Ok(Trial::Fails(format!("after {} s the kernel had come to {last}", patience.as_secs())));
        }
        std::thread::sleep(LOOK);
    }
}

/// QEMU; it ends with this.
struct Machine(Child);

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(accelerator: Accelerator, place: &Path) -> Result<Child, Failure> {
    let complaints = File::create(place.join("complaints"))?;
    let line = format!("console=ttyS0 reboot=t panic=-1{}", accelerator.clock());
    let mut qemu = Command::new(QEMU);
    qemu.current_dir(place).args(accelerator.machine());
    qemu.args(["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"]);
    qemu.args(["-m", "128", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
    qemu.args(["-serial", "file:console", "-kernel", "vmlinux", "-initrd", "root.cpio", "-append", &line]);
    qemu.stdin(Stdio::null()).stdout(Stdio::null()).stderr(complaints);
    qemu.spawn().map_err(|error| {
        Failure::failed(format!("{QEMU} cannot be run: {}", crate::failure::plain(&error)))
            .hinting("install the package qemu-system-x86")
    })
}

fn said(file: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(file).unwrap_or_default()).into_owned()
}

fn last_line(said: &str) -> String {
    let line = said.lines().map(str::trim).rfind(|line| !line.is_empty());
    line.map_or_else(|| "nothing that it said".to_owned(), |line| format!("{:?}", shortened(line)))
}

/// What QEMU complained of, without the registers that it shows after it.
fn first_lines(complaints: &str) -> String {
    let lines: Vec<&str> = complaints.lines().take(2).map(str::trim).collect();
    if lines.is_empty() { "it says nothing".to_owned() } else { shortened(&lines.join(", ")) }
}

fn shortened(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(SHOWN).collect()
}

/// The machine's root: a console, and the program.
fn root() -> Vec<u8> {
    let mut root: Tree = [("dev".to_owned(), Node::Directory(0o755))].into();
    root.insert("dev/console".into(), CONSOLE);
    cpio::add(&mut root, "init", 0o555, program());
    cpio::archive(&root)
}

/// The program, as an ELF file that needs nothing (elf(5)): heads, code, and the word behind it.
fn program() -> Vec<u8> {
    /// Where it lies in memory, and how long its heads are.
    const BASE: u64 = 0x40_0000;
    const HEADS: u64 = 64 + 56;
    let code = code();
    let length = HEADS + (code.len() + WORD.len()) as u64;
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let two = |elf: &mut Vec<u8>, all: &[u16]| all.iter().for_each(|one| elf.extend(one.to_le_bytes()));
    let four = |elf: &mut Vec<u8>, all: &[u32]| all.iter().for_each(|one| elf.extend(one.to_le_bytes()));
    let eight = |elf: &mut Vec<u8>, all: &[u64]| all.iter().for_each(|one| elf.extend(one.to_le_bytes()));
    // A program (2) for x86-64 (62), of version 1; entry, where its segments are listed, no sections.
    two(&mut elf, &[2, 62]);
    four(&mut elf, &[1]);
    eight(&mut elf, &[BASE + HEADS, 64, 0]);
    four(&mut elf, &[0]);
    // Length of this head; segments of 56 bytes, one of them; no sections.
    two(&mut elf, &[64, 56, 1, 0, 0, 0]);
    // One segment to load (1), to be read and run (5): all of the file.
    four(&mut elf, &[1, 5]);
    eight(&mut elf, &[0, BASE, BASE, length, length, 0x1000]);
    elf.extend(code);
    elf.extend(WORD);
    elf
}

/// `write(1, WORD)`, then `reboot(RESTART)`, which ends QEMU.
fn code() -> Vec<u8> {
    let length = u8::try_from(WORD.len()).unwrap_or_default();
    let write = [
        &[0xb8, 1, 0, 0, 0][..],          // mov eax, 1 (write)
        &[0xbf, 1, 0, 0, 0],              // mov edi, 1
        &[0x48, 0x8d, 0x35, 31, 0, 0, 0], // lea rsi, [rip + 31] (the word)
        &[0xba, length, 0, 0, 0],         // mov edx, its length
        &[0x0f, 0x05],                    // syscall
    ];
    let restart = [
        &[0xb8, 169, 0, 0, 0][..],       // mov eax, 169 (reboot)
        &[0xbf, 0xad, 0xde, 0xe1, 0xfe], // mov edi, LINUX_REBOOT_MAGIC1
        &[0xbe, 0x69, 0x19, 0x12, 0x28], // mov esi, LINUX_REBOOT_MAGIC2
        &[0xba, 0x67, 0x45, 0x23, 0x01], // mov edx, LINUX_REBOOT_CMD_RESTART
        &[0x0f, 0x05],                   // syscall
        &[0xeb, 0xfe],                   // jmp itself
    ];
    [write.concat(), restart.concat()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::build::is_static;

    #[test]
    fn the_program_is_one_that_needs_nothing_and_finds_its_word() {
        let program = program();
        assert!(is_static(&program));
        // The instruction that names the word is 17 bytes into the code, counted to its end.
        let at = 64 + 56 + 17 + usize::from(program[64 + 56 + 13]);
        assert_eq!(&program[at..], WORD);
    }

    #[test]
    fn what_was_seen_is_said_in_a_line() {
        assert_eq!(last_line("a\r\n[    0.1] x87 FPU\r\n\r\n"), "\"[    0.1] x87 FPU\"");
        assert_eq!(last_line(""), "nothing that it said");
        let complaints = "KVM internal error. Suberror: 1\nemulation failure\nRAX=00\n";
        assert_eq!(first_lines(complaints), "KVM internal error. Suberror: 1, emulation failure");
    }
}
