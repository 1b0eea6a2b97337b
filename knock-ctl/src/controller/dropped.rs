//! How the log tells of a dropped packet.

use knock_common::address::Address;
use knock_common::drops::DropKey;
use knock_common::event::Event;

/// `None`: the event makes no sense. `enforced`: it was dropped in fact.
pub(super) fn line(event: &Event, enforced: bool) -> Option<String> {
    let (reason, port) = DropKey::from_bits(event.detail).read()?;
    let source =
        if event.source == Address::UNSPECIFIED { "unknown".to_owned() } else { event.source.to_string() };
    let dropped = if enforced { "dropped" } else { "would be dropped" };
    let port = port.map(|(protocol, number)| format!(": {number}/{protocol}")).unwrap_or_default();
    Some(format!("{source}: {dropped}{port} ({})", reason.name()))
}

#[cfg(test)]
mod tests {
    use knock_common::event::EventKind;
    use knock_common::port::Protocol;
    use knock_common::reason::Reason;
    use knock_common::time::Boottime;

    use super::*;

    #[test]
    fn a_line_has_source_port_and_reason_as_far_as_they_are_known() {
        let client = Address::from_v4([192, 0, 2, 7]);
        let told = |source, bits, enforced| {
            let mut event = Event::new(EventKind::Dropped, source, 0, Boottime::from_nanoseconds(1));
            event.detail = bits;
            line(&event, enforced)
        };
        // As the kernel program writes it: reason, port, protocol and that there is a port.
        let bits = 1 << 31 | (Reason::NoGrant as u32) << 24 | 1 << 17 | 22;
        assert_eq!(told(client, bits, true).unwrap(), "192.0.2.7: dropped: 22/tcp (no_grant)");
        assert_eq!(
            told(client, bits | 1 << 16, false).unwrap(),
            "192.0.2.7: would be dropped: 22/udp (no_grant)"
        );
        let malformed = 1 << 31 | (Reason::Malformed as u32) << 24;
        assert_eq!(told(Address::UNSPECIFIED, malformed, true).unwrap(), "unknown: dropped (malformed)");
        assert_eq!(told(client, 1 << 31 | 127 << 24, true), None);
        assert_eq!(DropKey::from_bits(bits), DropKey::new(Reason::NoGrant, Some((Protocol::Tcp, 22))));
    }
}
