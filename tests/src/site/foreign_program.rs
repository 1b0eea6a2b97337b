//! An XDP program of somebody else's.

use std::os::fd::AsFd;

use crate::assembly::{instruction, xdp_object};
use crate::lab::Machine;
use aya::Ebpf;
use aya::programs::{Xdp, xdp};
use knock_ctl::interface::{XdpMode, describe, put_program};

use super::Site;

/// Lets everything pass. What is held by a link goes off with it.
pub struct ForeignProgram(Ebpf);

const NAME: &str = "pass_all";

impl ForeignProgram {
    pub fn load() -> Self {
        const XDP_PASS: i32 = 2;

        let code = [instruction(0xb7, 0, 0, 0, XDP_PASS), instruction(0x95, 0, 0, 0, 0)];
        let mut ebpf = Ebpf::load(&xdp_object(NAME, &code).unwrap()).unwrap();
        program(&mut ebpf).load().unwrap();
        Self(ebpf)
    }

    /// Puts it on an interface of the server in generic mode, as `ip link` does: by no link, and for good.
    pub fn put_on(&mut self, site: &Site, interface: &str) {
        let descriptor = program(&mut self.0).fd().unwrap();
        let put = || {
            let index = describe(&interface.parse().unwrap()).unwrap().index;
            put_program(index, XdpMode::Generic, descriptor.as_fd()).unwrap();
        };
        site.lab.enter(Machine::Server, put).unwrap();
    }

    /// Attaches it to an interface of the server by a link that nobody else has.
    pub fn hold_on(&mut self, site: &Site, interface: &str) {
        let attach = || program(&mut self.0).attach(interface, xdp::XdpMode::Skb).unwrap();
        site.lab.enter(Machine::Server, attach).unwrap();
    }
}

fn program(ebpf: &mut Ebpf) -> &mut Xdp {
    ebpf.program_mut(NAME).unwrap().try_into().unwrap()
}
