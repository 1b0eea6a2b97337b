//! A second interface of the server, by which the client alone reaches it.

use crate::lab::{Lab, Machine};

/// It comes, goes and is renamed while a test lasts.
pub struct SecondInterface;

impl SecondInterface {
    pub const NAME: &str = "second0";
    /// By which the client reaches it.
    pub const ADDRESS: &str = "10.99.0.1";

    /// Connects the server with the client, under a name on the server's side.
    pub fn add(lab: &Lab, name: &str) {
        let client = lab.namespace(Machine::Client);
        let peer = client.name();
        let server = lab.namespace(Machine::Server);
        server.ip(&format!("link add {name} type veth peer name second0 netns {peer}")).unwrap();
        Self::bring_up(lab, name);
        client.ip("address add 10.99.0.2/24 dev second0").unwrap();
        client.ip("link set second0 up").unwrap();
    }

    /// Sets it up, with its address.
    pub fn bring_up(lab: &Lab, name: &str) {
        let server = lab.namespace(Machine::Server);
        server.ip(&format!("address replace {}/24 dev {name}", Self::ADDRESS)).unwrap();
        server.ip(&format!("link set {name} up")).unwrap();
    }

    pub fn delete(lab: &Lab) {
        lab.namespace(Machine::Server).ip(&format!("link delete {}", Self::NAME)).unwrap();
    }
}
