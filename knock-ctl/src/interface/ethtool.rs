//! What only the driver knows, by the ethtool ioctls (linux/ethtool.h).

use std::io;
use std::os::fd::AsRawFd;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::InterfaceName;

const ETHTOOL_GDRVINFO: u32 = 0x03;
const ETHTOOL_GCHANNELS: u32 = 0x3c;

/// struct ethtool_drvinfo.
#[repr(C)]
struct DriverInfo {
    command: u32,
    driver: [u8; 32],
    rest: [u8; 160],
}

/// struct ethtool_channels.
#[repr(C)]
#[derive(Default)]
struct Channels {
    command: u32,
    maxima: [u32; 4],
    receive: u32,
    transmit: u32,
    other: u32,
    combined: u32,
}

const _: () = assert!(size_of::<DriverInfo>() == 196 && size_of::<Channels>() == 36);

/// A structure that the kernel fills.
///
/// # Safety
/// The implementing type is the `repr(C)` image of the structure that belongs to the command in its first field, and
/// every bit pattern is valid for it.
unsafe trait Answer {}

// SAFETY: this is struct ethtool_drvinfo, and `driver` sets the command that goes with it.
unsafe impl Answer for DriverInfo {}
// SAFETY: this is struct ethtool_channels, and `receive_queues` sets the command that goes with it.
unsafe impl Answer for Channels {}

/// The driver's name, such as "virtio_net" or "veth".
///
/// # Errors
/// Among others ENODEV, and EOPNOTSUPP where there is no driver.
pub(super) fn driver(interface: &InterfaceName) -> io::Result<String> {
    let mut info = DriverInfo { command: ETHTOOL_GDRVINFO, driver: [0; 32], rest: [0; 160] };
    fill(interface, &mut info)?;
    let name = info.driver.split(|&byte| byte == 0).next().unwrap_or_default();
    Ok(String::from_utf8_lossy(name).into_owned())
}

/// The number of receive queues in use.
///
/// # Errors
/// Among others ENODEV, and EOPNOTSUPP from drivers that can't tell.
pub(super) fn receive_queues(interface: &InterfaceName) -> io::Result<u32> {
    let mut channels = Channels { command: ETHTOOL_GCHANNELS, ..Channels::default() };
    fill(interface, &mut channels)?;
    Ok(channels.receive.saturating_add(channels.combined))
}

fn fill<A: Answer>(interface: &InterfaceName, answer: &mut A) -> io::Result<()> {
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    let mut name = [0; libc::IFNAMSIZ];
    for (slot, byte) in name.iter_mut().zip(interface.as_str().bytes()) {
        *slot = byte.cast_signed();
    }
    let data = std::ptr::from_mut(answer).cast();
    let mut request =
        libc::ifreq { ifr_name: name, ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_data: data } };
    // SAFETY: `request` is a whole ifreq with a terminated name, and what it points to is as large as the command says
    // by `Answer`, writable, and outlives the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL as _, &raw mut request) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
