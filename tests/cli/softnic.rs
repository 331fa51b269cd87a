//! `softnic`, which is there with the feature `vfio-user` alone.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command};

use crate::{end, refused, start, tools};

#[test]
fn its_help_and_refusals_read_as_written_down() {
    let cases = trycmd::TestCases::new();
    cases.register_bin("softnic", tools().join("softnic"));
    cases.case("tests/cli/served/*.trycmd");
}

/// Starts it and waits until all sockets are there.
fn serve(args: &[&str], sockets: &[&Path]) -> (Child, BufReader<ChildStdout>) {
    let sockets: Vec<_> = sockets.iter().map(|p| p.to_str().unwrap()).collect();
    let args: Vec<_> = sockets.iter().flat_map(|s| ["--socket", s]).chain(args.to_vec()).collect();
    let mut child = start("softnic", &args);
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    for socket in sockets {
        assert_eq!(next(&mut lines), format!("listening on {socket}"));
    }
    (child, lines)
}

fn next(lines: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

/// Ends it in order, and gives the rest of its output.
fn terminate(child: Child, mut lines: BufReader<ChildStdout>) -> String {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-s", "TERM", &pid]).status().unwrap().success());
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    let (status, _, said) = end(child);
    assert!(status.success(), "{status} {said}");
    rest
}

#[test]
fn a_signal_sends_clients_away_and_removes_the_sockets() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a.sock"), dir.path().join("b.sock"));
    // What a dead server has left.
    drop(UnixListener::bind(&a).unwrap());
    let args = ["--chip", "82599", "--chip", "i350", "--wire", "cable:softnic-cli"];
    let (child, mut lines) = serve(&args, &[&a, &b]);
    let mut client = UnixStream::connect(&b).unwrap();
    let b_says = |text: &str| format!("{}: {text}", b.display());
    let us = std::process::id();
    assert_eq!(next(&mut lines), b_says(&format!("a client has come, process {us}")));
    drop(UnixStream::connect(&b).unwrap());
    assert_eq!(next(&mut lines), b_says("another client was turned away"));
    let rest = terminate(child, lines);
    assert_eq!(client.read(&mut [0; 16]).unwrap(), 0, "it was sent away");
    let nothing = "sent 0 frames (0 bytes), received 0 (0 bytes), no faults";
    let left =
        b_says(&format!("the client has left (the server stops) after 0 messages: {nothing}"));
    let all = [&a, &b].map(|path| format!("{}: in all {nothing}", path.display()));
    assert_eq!(rest.lines().collect::<Vec<_>>(), [left, all[0].clone(), all[1].clone()]);
    assert!(!a.exists() && !b.exists());
}

#[test]
fn what_a_client_did_is_traced_and_quiet_is_quiet() {
    use std::io::Write;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("nic.sock");
    let (child, lines) = serve(&["--quiet", "--trace", "5"], &[&path]);
    let mut client = UnixStream::connect(&path).unwrap();
    let mut send = |command: u16, body: &[u8]| {
        let head = [[0, 0], command.to_ne_bytes()].concat();
        let size = 16 + body.len() as u32;
        client.write_all(&[&head, &size.to_ne_bytes()[..], &[0; 8], body].concat()).unwrap();
        let mut head = [0; 16];
        client.read_exact(&mut head).unwrap();
        let size = u32::from_ne_bytes(head[4..8].try_into().unwrap());
        client.read_exact(&mut vec![0; size as usize - 16]).unwrap();
    };
    let access = |region: u32, offset: u64, count: u32, data: &[u8]| {
        let region = [region.to_ne_bytes(), count.to_ne_bytes()].concat();
        [&offset.to_ne_bytes()[..], &region, data].concat()
    };
    send(1, &[0; 4]);
    send(10, &access(7, 4, 2, &[2, 0]));
    send(10, &access(0, 0x4240, 4, &[3, 0, 0, 0]));
    drop(client);
    // Its trace comes when it has left, which nothing else says.
    let (mut lines, mut traced) = (lines, String::new());
    while !traced.contains("HLREG0") {
        traced = next(&mut lines);
        assert!(traced.starts_with("  "), "{traced}");
    }
    let rest = terminate(child, lines);
    assert!(rest.lines().last().unwrap().contains("in all"), "{rest}");
}

#[test]
fn a_socket_that_is_served_is_refused_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("nic.sock");
    let (child, lines) = serve(&[], &[&path]);
    let said = refused("softnic", &["--socket", path.to_str().unwrap()]);
    assert!(said.contains("is served by another process"), "{said}");
    assert!(UnixStream::connect(&path).is_ok());
    terminate(child, lines);
    std::fs::write(&path, "precious").unwrap();
    refused("softnic", &["--socket", path.to_str().unwrap()]);
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
}
