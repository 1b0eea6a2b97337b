use knock_common::flags::*;
use knock_common::port::*;
use knock_ctl::rules::*;
use knock_tests::kernel::KernelFilter;
use std::time::Duration;
fn syn(src: [u8; 4], sport: u16, dport: u16, seq: u32) -> Vec<u8> {
    let mut f = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    f.extend([0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0]);
    f.extend(src);
    f.extend([10, 0, 0, 1]);
    f.extend(sport.to_be_bytes());
    f.extend(dport.to_be_bytes());
    f.extend(seq.to_be_bytes());
    f.extend([0, 0, 0, 0, 0x50, 2, 0, 0, 0, 0, 0, 0]);
    f
}
#[test]
fn smoke() {
    let mut rs = RuleSet::default();
    rs.doors.push(DoorRule {
        name: "ssh".into(),
        steps: vec![Port::tcp(7000).unwrap(), Port::tcp(8000).unwrap(), Port::tcp(9000).unwrap()],
        seq_timeout: Duration::from_secs(10),
        flags: FlagsCondition::CONNECT,
        same_ttl: false,
        targets: vec![],
        opens: Opens::Ports(vec![PortRange::new(Protocol::Tcp, 22, 22).unwrap()]),
        open_for: Some(Duration::from_secs(30)),
        connections: 0,
        revokes: vec![],
    });
    let mut k = match KernelFilter::new(&rs) {
        Ok(k) => k,
        Err(e) => {
            panic!("{e}")
        }
    };
    println!("{:?}", k.program.verified_instructions());
    for (s, d) in [(1000, 22), (1001, 7000), (1002, 8000), (1003, 9000), (1004, 22)] {
        println!("{d} {:?}", k.judge(&syn([10, 0, 0, 2], s, d, s as u32)));
    }
    let mut f = syn([10, 0, 0, 9], 5, 22, 1);
    for _ in 0..3 {
        println!("stranger syn ns {:?}", k.program.test_run(&f, 5_000_000).unwrap());
    }
    f = syn([10, 0, 0, 9], 5, 23, 1);
    for _ in 0..2 {
        println!("unlisted syn ns {:?}", k.program.test_run(&f, 5_000_000).unwrap());
    }
    f[47] = 0x10;
    for _ in 0..2 {
        println!("unlisted data ns {:?}", k.program.test_run(&f, 5_000_000).unwrap());
    }
    f = syn([10, 0, 0, 2], 1004, 22, 1);
    f[47] = 0x10;
    for _ in 0..2 {
        println!("flow data ns {:?}", k.program.test_run(&f, 5_000_000).unwrap());
    }
}
