//! How to knock, with what clients have at hand.

use std::num::NonZeroU16;

use knock_common::port::{Port, PortRange, Protocol};

pub(super) const SSH: Port = match NonZeroU16::new(22) {
    Some(number) => Port { protocol: Protocol::Tcp, number },
    None => unreachable!(),
};

/// Several lines, the last one ended too; `HOST` stands for the server.
pub(super) fn write(sequence: &[Port], opens: &[PortRange]) -> String {
    let words = |separator: char, default: Option<Protocol>| -> String {
        let word = |port: &Port| {
            if Some(port.protocol) == default {
                port.number.to_string()
            } else {
                format!("{}{separator}{}", port.number, port.protocol)
            }
        };
        sequence.iter().map(word).collect::<Vec<_>>().join(" ")
    };
    let ours = words('/', Some(Protocol::Tcp));
    // TCP alone has something that answers.
    let target = opens.iter().find(|range| range.protocol() == Protocol::Tcp).map(PortRange::first);
    let wait = target.map(|number| format!(" --wait {number}/tcp")).unwrap_or_default();
    let mut text = format!(
        "\
How to knock, HOST being the server:

knock-ctl knock HOST {ours}{wait}

knock -d 50 HOST {stock}

In bash:

{bash}

In PowerShell:

{powershell}
",
        stock = words(':', None),
        bash = bash(sequence),
        powershell = powershell(sequence),
    );
    if let Some(number) = target {
        let port = if number == SSH.number.get() { String::new() } else { format!("\n    Port {number}") };
        text += &format!(
            "
In ~/.ssh/config, so that ssh knocks by itself (on top: for each setting ssh takes the first that it finds):

Match originalhost HOST exec \"knock-ctl knock %h {ours}{wait}\"{port}
"
        );
    }
    text
}

/// A SYN is sent at once, and sent again after a second where nothing answers: by then it has been given up.
fn bash(sequence: &[Port]) -> String {
    let paths: Vec<String> =
        sequence.iter().map(|port| format!("{}/HOST/{}", port.protocol, port.number)).collect();
    format!(
        "for knock in {}; do timeout 0.2 bash -c \"echo > /dev/$knock\" 2> /dev/null; done",
        paths.join(" ")
    )
}

fn powershell(sequence: &[Port]) -> String {
    let words: Vec<String> =
        sequence.iter().map(|port| format!("'{}/{}'", port.protocol, port.number)).collect();
    format!(
        "$to = [Net.Dns]::GetHostAddresses('HOST')[0]; foreach ($knock in {}) {{ $protocol, $port = $knock -split '/'; \
         if ($protocol -eq 'udp') {{ $socket = New-Object Net.Sockets.UdpClient $to.AddressFamily; \
         $socket.Connect($to, [int]$port); [void]$socket.Send([byte[]](0), 1) }} \
         else {{ $socket = New-Object Net.Sockets.TcpClient $to.AddressFamily; \
         [void]$socket.BeginConnect($to, [int]$port, $null, $null) }}; \
         Start-Sleep -Milliseconds 200; $socket.Close() }}",
        words.join(", ")
    )
}
