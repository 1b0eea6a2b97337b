//! Thousands of connections at once, both ends of each.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};

use crate::lab::{Lab, Machine};
use socket2::{Domain, Socket, Type};

use super::{LIMIT, SSH};

/// From addresses of the client to the server's SSH port.
pub struct Connections {
    listener: TcpListener,
    /// The client's end and the server's.
    ends: Vec<(TcpStream, TcpStream)>,
}

impl Connections {
    /// As many from each address.
    pub fn open(lab: &Lab, from: &[IpAddr], each: usize) -> Self {
        let at = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), SSH);
        let listener = lab.enter(Machine::Server, || TcpListener::bind(at)).unwrap().unwrap();
        let connect_all = || {
            let all = from.iter().flat_map(|&from| std::iter::repeat_n(from, each));
            all.map(|from| {
                let (near, far) = (connect(from), listener.accept().unwrap());
                assert_eq!(near.local_addr().unwrap().port(), far.1.port(), "each is with its other end");
                for end in [&near, &far.0] {
                    end.set_nodelay(true).unwrap();
                    end.set_read_timeout(Some(LIMIT)).unwrap();
                }
                (near, far.0)
            })
            .collect()
        };
        let ends = lab.enter(Machine::Client, connect_all).unwrap();
        listener.set_nonblocking(true).unwrap();
        Self { listener, ends }
    }

    /// Something is said by each client, and heard.
    #[track_caller]
    pub fn talk(&mut self) {
        for (near, far) in &mut self.ends {
            let mut heard = [0; 4];
            near.write_all(b"ping").unwrap();
            far.read_exact(&mut heard).unwrap();
            assert_eq!(&heard, b"ping");
        }
    }

    /// Whether the server has accepted no other connection.
    pub fn nobody_else_came(&self) -> bool {
        self.listener.accept().is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    }
}

fn connect(from: IpAddr) -> TcpStream {
    let (from, to) = (SocketAddr::new(from, 0), SocketAddr::new(Machine::Server.of_family(from), SSH));
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None).unwrap();
    socket.bind(&from.into()).unwrap();
    socket.connect_timeout(&to.into(), LIMIT).unwrap();
    socket.into()
}
