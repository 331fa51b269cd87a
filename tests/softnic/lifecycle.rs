//! Clients that come and go, in order and otherwise, and the server's own end.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use barewire::Error;
use barewire::drivers::sim::served::{ClientEvent, SoftNic};
use barewire::drivers::sim::{Drive, Model, SimConfig, SimNic};

use crate::client::{
    CONFIG, Client, REGION_READ, REGION_WRITE, VERSION, access, memory, message, send, version,
};
use crate::guest::frame;
use crate::served::Served;

#[test]
fn clients_come_one_after_another_and_find_the_nic_as_after_power_on() {
    let served = Served::new(Model::I82599, "probe");
    for n in 0..20 {
        let mut guest = served.guest();
        guest.passes_frames(&served.nic, n);
        drop(guest);
        // At once: one whose predecessor has gone is never turned away.
        let client = served.client();
        assert_eq!(client.config(4, 2), 0, "command register");
        client.write(CONFIG, 4, &[2, 0]);
        assert_eq!(client.read32(0x6004), 0, "the ring's address");
    }
    let turned_away = |e: &ClientEvent| matches!(e, ClientEvent::TurnedAway);
    assert!(!served.events().iter().any(turned_away));
    assert_eq!(served.left(38), None);
}

#[test]
fn a_second_client_is_turned_away_and_the_first_goes_on() {
    let served = Served::new(Model::X550, "probe");
    let mut guest = served.guest();
    for n in 0..5 {
        let mut second = UnixStream::connect(&served.path).expect("it is accepted");
        let _gone = second.write_all(&message(1, VERSION, 0, &version()));
        let mut reply = Vec::new();
        // The end, or a reset when the message was never read.
        let _gone = second.read_to_end(&mut reply);
        assert_eq!(reply, [0u8; 0]);
        guest.passes_frames(&served.nic, n);
    }
    let turned_away = |e: &&ClientEvent| matches!(e, ClientEvent::TurnedAway);
    assert_eq!(served.events().iter().filter(turned_away).count(), 5);
    drop(guest);
    served.guest().passes_frames(&served.nic, 9);
}

#[test]
fn a_client_may_die_in_the_middle_of_a_message() {
    let served = Served::new(Model::I82576, "probe");
    let whole = [access(7, 4, 2), vec![6, 0]].concat();
    let whole = message(7, REGION_WRITE, 0, &whole);
    for cut in 1..whole.len() {
        let client = served.client();
        send(&client.stream, &whole[..cut], &[]).expect("it is listening");
        drop(client);
        assert_eq!(served.left(cut - 1).as_deref(), Some("it sent half a message"), "{cut}");
    }
    // With a file descriptor on the way.
    let client = served.client();
    send(&client.stream, &whole[..8], &[memory(1).as_fd()]).expect("it is listening");
    drop(client);
    served.guest().passes_frames(&served.nic, 1);
}

#[test]
fn a_client_may_die_while_its_nic_is_at_work() {
    let served = Served::new(Model::I82599, "loopback");
    for n in 0..20 {
        let mut guest = served.guest();
        for m in 0..20 {
            guest.queue(&frame(n * 100 + m, 1400));
        }
        drop(guest);
    }
    let mut guest = served.guest();
    guest.transmit(&frame(u64::MAX, 100));
    assert_eq!(guest.receive(), frame(u64::MAX, 100));
}

#[test]
fn a_client_that_fetches_no_replies_is_sent_away() {
    let served = Served::new(Model::I82599, "probe");
    let client = served.client();
    client.stream.set_write_timeout(Some(Duration::from_millis(100))).expect("timeout");
    let read = message(1, REGION_READ, 0, &access(0, 0, 65536));
    while send(&client.stream, &read, &[]).is_ok() {}
    let why = served.left(0).expect("a reason");
    assert_eq!(why, "it does not fetch its replies");
    served.guest().passes_frames(&served.nic, 1);
}

#[test]
fn a_socket_that_a_dead_server_left_is_replaced_and_nothing_else_is() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("nic.sock");
    let serve = || {
        let config = SimConfig { drive: Drive::Served, ..SimConfig::default() };
        SoftNic::serve(SimNic::new(&config).expect("a NIC"), &path, |_| {})
    };
    drop(UnixListener::bind(&path).expect("a socket"));
    assert!(path.exists(), "nobody listens there");
    let alive = serve().expect("it takes the place");
    Client::open(&path);
    assert!(matches!(serve(), Err(Error::State { .. })), "another is alive");
    Client::open(&path);
    drop(alive);
    assert!(!path.exists(), "removed at the end");
    std::fs::write(&path, "precious").expect("a file");
    assert!(matches!(serve(), Err(Error::State { .. })));
    assert_eq!(std::fs::read(&path).expect("still there"), b"precious");
    std::fs::remove_file(&path).expect("removed");
    // What was replaced meanwhile belongs to somebody else.
    let first = serve().expect("served");
    std::fs::remove_file(&path).expect("removed");
    let second = serve().expect("served");
    drop(first);
    Client::open(&path);
    drop(second);
}

#[test]
fn only_this_user_can_connect() {
    use std::os::unix::fs::PermissionsExt;
    let served = Served::new(Model::I82599, "none");
    let mode = std::fs::metadata(&served.path).expect("a socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn the_server_ends_with_a_client_connected_and_one_in_the_queue() {
    let mut served = Served::new(Model::I82599, "loopback");
    let mut guest = served.guest();
    for n in 0..20 {
        guest.queue(&frame(n, 1400));
    }
    let waiting = UnixStream::connect(&served.path).expect("it is accepted");
    served.stop();
    assert!(!served.path.exists());
    assert_eq!(served.left(0).as_deref(), Some("the server stops"));
    let mut rest = Vec::new();
    let _gone = (&guest.client.stream).read_to_end(&mut rest);
    let _gone = (&waiting).read_to_end(&mut rest);
    assert_eq!(rest, [0u8; 0], "both were let go");
}
