//! Relays stdin and stdout over a connection, as ssh's ProxyCommand has it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;

/// Passes on what comes, in both directions, until the other side has ended or nobody reads stdout. The end of stdin
/// ends the sending alone: an answer to all that was said still comes.
pub(super) fn relay(stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let sending = stream.try_clone()?;
    // It may be waiting for stdin when the other side has ended, and ends with the process then.
    thread::spawn(move || send(&mut io::stdin(), &sending));
    match pass_on(&mut &stream, &mut io::stdout().lock()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

fn send(from: &mut impl Read, mut to: &TcpStream) {
    // A stream that takes no more has ended or will fail for who receives from it, and that tells the user.
    let _ = pass_on(from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}

/// Without waiting for more than there is.
fn pass_on(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => {
                to.write_all(&buffer[..length])?;
                to.flush()?;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn connection() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (near, listener.accept().unwrap().0)
    }

    #[test]
    fn the_end_of_what_is_sent_leaves_the_answer_open() {
        let (near, mut far) = connection();
        let sent: Vec<u8> = (0..200_000_u32).map(|number| number as u8).collect();
        let answering = thread::spawn(move || {
            let mut all = Vec::new();
            far.read_to_end(&mut all).unwrap();
            far.write_all(b"all of it\x00without a newline").unwrap();
            all
        });
        send(&mut sent.as_slice(), &near);
        let mut answer = Vec::new();
        pass_on(&mut &near, &mut answer).unwrap();
        assert_eq!(answer, b"all of it\x00without a newline");
        assert!(answering.join().unwrap() == sent);
    }
}
