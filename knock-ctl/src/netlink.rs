//! One request to the kernel over netlink and the whole of its answer.

use std::io;

use netlink_packet_core::{
    DecodeError, NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader,
    NetlinkMessage, NetlinkPayload, NetlinkSerializable,
};
use netlink_sys::{Socket, SocketAddr};

/// Why the kernel's answer could not be had.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    #[error("cannot talk to the kernel over netlink: {0}")]
    Socket(#[source] io::Error),
    /// The kernel answered with this error.
    #[error("the kernel refused the request: {0}")]
    Refused(#[source] io::Error),
    #[error("the kernel's answer makes no sense: {0}")]
    Malformed(#[from] DecodeError),
    #[error("the kernel's answer arrived cut short")]
    Truncated,
    /// What was listed changed during each of several attempts to list it.
    #[error("the kernel's tables changed faster than they could be read")]
    Unstable,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The one object that the request names.
    One,
    /// Every object of the request's kind.
    All,
}

/// The kernel never fills more than 32 KiB of a dump at once (netlink_dump() in net/netlink/af_netlink.c).
const RECEIVE_BUFFER: usize = 64 * 1024;
const DUMP_ATTEMPTS: usize = 5;
const SEQUENCE_NUMBER: u32 = 1;

/// Asks on a socket of its own, in the network namespace of the calling thread, and returns all that the kernel answers.
/// A dump during which the tables changed is begun anew.
pub(crate) fn ask<Request, Reply>(
    protocol: isize,
    scope: Scope,
    request: Request,
) -> Result<Vec<Reply>, NetlinkError>
where
    Request: NetlinkSerializable,
    Reply: NetlinkDeserializable,
{
    let request = serialize(scope, request);
    for _ in 0..DUMP_ATTEMPTS {
        let mut socket = Socket::new(protocol).map_err(NetlinkError::Socket)?;
        socket.bind_auto().map_err(NetlinkError::Socket)?;
        // A connected netlink socket takes messages from its peer alone: port 0, the kernel.
        socket.connect(&SocketAddr::new(0, 0)).map_err(NetlinkError::Socket)?;
        retry_interrupted(|| socket.send(&request, 0)).map_err(NetlinkError::Socket)?;
        if let Some(replies) = receive(&socket)? {
            return Ok(replies);
        }
    }
    Err(NetlinkError::Unstable)
}

fn serialize<Request: NetlinkSerializable>(scope: Scope, request: Request) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.sequence_number = SEQUENCE_NUMBER;
    header.flags = NLM_F_REQUEST
        | match scope {
            Scope::One => NLM_F_ACK,
            Scope::All => NLM_F_DUMP,
        };
    let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(request));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

/// `None` when the kernel says that the dump is inconsistent.
fn receive<Reply: NetlinkDeserializable>(socket: &Socket) -> Result<Option<Vec<Reply>>, NetlinkError> {
    let mut answer = Answer::new();
    let mut buffer = Vec::with_capacity(RECEIVE_BUFFER);
    loop {
        buffer.clear();
        let length =
            retry_interrupted(|| socket.recv(&mut buffer, libc::MSG_TRUNC)).map_err(NetlinkError::Socket)?;
        if length > buffer.len() {
            return Err(NetlinkError::Truncated);
        }
        if answer.take(&buffer)? == Progress::Complete {
            return Ok(answer.consistent.then_some(answer.replies));
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Progress {
    Incomplete,
    Complete,
}

struct Answer<Reply> {
    replies: Vec<Reply>,
    consistent: bool,
}

impl<Reply: NetlinkDeserializable> Answer<Reply> {
    fn new() -> Self {
        Self { replies: Vec::new(), consistent: true }
    }

    /// Takes the messages of one datagram.
    fn take(&mut self, mut datagram: &[u8]) -> Result<Progress, NetlinkError> {
        while !datagram.is_empty() {
            let message = NetlinkMessage::<Reply>::deserialize(datagram)?;
            self.consistent &= message.header.flags & NLM_F_DUMP_INTR == 0;
            let length = message.header.length;
            if message.header.sequence_number == SEQUENCE_NUMBER {
                match message.payload {
                    NetlinkPayload::InnerMessage(reply) => self.replies.push(reply),
                    NetlinkPayload::Done(done) if done.code != 0 => return Err(refused(done.code)),
                    NetlinkPayload::Error(error) if error.code.is_some() => {
                        return Err(refused(error.raw_code()));
                    }
                    // An error without a code is the acknowledgement that ends the answer about one object.
                    NetlinkPayload::Done(_) | NetlinkPayload::Error(_) => return Ok(Progress::Complete),
                    NetlinkPayload::Overrun(_) => return Err(NetlinkError::Truncated),
                    _ => {}
                }
            }
            // Messages are aligned to four bytes (NLMSG_ALIGN); the last one of a datagram need not be padded.
            let aligned = usize::try_from(length).unwrap_or(usize::MAX).saturating_add(3) & !3;
            datagram = datagram.get(aligned..).unwrap_or_default();
        }
        Ok(Progress::Incomplete)
    }
}

fn refused(code: i32) -> NetlinkError {
    NetlinkError::Refused(io::Error::from_raw_os_error(code.saturating_abs()))
}

fn retry_interrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Text(Vec<u8>);

    impl NetlinkDeserializable for Text {
        type Error = DecodeError;

        fn deserialize(_: &NetlinkHeader, payload: &[u8]) -> Result<Self, DecodeError> {
            Ok(Self(payload.to_vec()))
        }
    }

    const TEXT: u16 = 20;
    const NLMSG_ERROR: u16 = 2;
    const NLMSG_DONE: u16 = 3;
    const NLMSG_OVERRUN: u16 = 4;

    /// struct nlmsghdr (linux/netlink.h), the payload and its padding.
    fn message(kind: u16, flags: u16, sequence_number: u32, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend((16 + payload.len() as u32).to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend(sequence_number.to_ne_bytes());
        bytes.extend(0u32.to_ne_bytes());
        bytes.extend(payload);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn take(datagram: &[u8]) -> (Answer<Text>, Result<Progress, NetlinkError>) {
        let mut answer = Answer::new();
        let progress = answer.take(datagram);
        (answer, progress)
    }

    #[test]
    fn every_message_of_a_datagram_is_taken_padded_or_not() {
        let mut datagram = message(TEXT, 2, 1, b"first");
        datagram.extend(message(TEXT, 2, 1, b"two."));
        let (answer, progress) = take(&datagram);
        assert_eq!(progress.unwrap(), Progress::Incomplete);
        assert_eq!(answer.replies, [Text(b"first".to_vec()), Text(b"two.".to_vec())]);
        assert!(answer.consistent);
    }

    #[test]
    fn done_and_the_acknowledgement_end_an_answer() {
        for end in [message(NLMSG_DONE, 2, 1, &[0; 4]), message(NLMSG_ERROR, 0, 1, &[0; 20])] {
            let mut datagram = message(TEXT, 2, 1, b"one!");
            datagram.extend(end);
            let (answer, progress) = take(&datagram);
            assert_eq!(progress.unwrap(), Progress::Complete);
            assert_eq!(answer.replies.len(), 1);
        }
    }

    #[test]
    fn errors_come_through_with_their_number() {
        for kind in [NLMSG_ERROR, NLMSG_DONE] {
            let mut payload = (-libc::EPERM).to_ne_bytes().to_vec();
            payload.extend([0; 16]);
            let (_, progress) = take(&message(kind, 0, 1, &payload));
            let Err(NetlinkError::Refused(error)) = progress else { panic!("{progress:?}") };
            assert_eq!(error.raw_os_error(), Some(libc::EPERM));
        }
        assert!(matches!(take(&message(NLMSG_OVERRUN, 0, 1, &[])).1, Err(NetlinkError::Truncated)));
    }

    #[test]
    fn an_interrupted_dump_is_known_as_such() {
        let (answer, _) = take(&message(TEXT, NLM_F_DUMP_INTR, 1, b"half"));
        assert!(!answer.consistent);
    }

    #[test]
    fn answers_to_other_requests_are_left_out() {
        let (answer, progress) = take(&message(NLMSG_DONE, 2, 7, &[0; 4]));
        assert_eq!(progress.unwrap(), Progress::Incomplete);
        assert!(answer.replies.is_empty());
    }

    #[test]
    fn cut_or_lying_messages_are_errors() {
        let whole = message(TEXT, 2, 1, b"text");
        for length in 1..whole.len() {
            assert!(matches!(take(&whole[..length]).1, Err(NetlinkError::Malformed(_))));
        }
    }
}
