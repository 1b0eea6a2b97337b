//! Rules of the firewall, as tutorials have them; the sequence is 7000, 8000, 9000.

/// For what opens ports by itself: everything is closed but to living connections.
pub const CLOSED: &str = "*filter
:INPUT DROP
:FORWARD DROP
:OUTPUT ACCEPT
-A INPUT -i lo -j ACCEPT
-A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
COMMIT
";

/// The port knocking example of the nftables wiki, with three ports, and under a policy that drops.
pub const NFT: &str = "table inet portknock {
    set clients_ipv4 {
        type ipv4_addr
        flags timeout
    }
    set candidates_ipv4 {
        type ipv4_addr . inet_service
        flags timeout
    }
    chain input {
        type filter hook input priority -10; policy drop;
        iifname \"lo\" accept
        ct state established,related accept
        tcp dport 7000 add @candidates_ipv4 { ip saddr . 8000 timeout 1s }
        tcp dport 8000 ip saddr . tcp dport @candidates_ipv4 add @candidates_ipv4 { ip saddr . 9000 timeout 1s }
        tcp dport 9000 ip saddr . tcp dport @candidates_ipv4 add @clients_ipv4 { ip saddr timeout 10s } log prefix \"Successful portknock: \"
        tcp dport 22 ip saddr @clients_ipv4 counter accept
    }
}
";

/// The recipe of gates, with the lists as long as the kernel makes them (ip_list_tot=100).
pub const RECENT: &str = "*filter
:INPUT DROP
:FORWARD DROP
:OUTPUT ACCEPT
:KNOCKING -
:GATE1 -
:GATE2 -
:GATE3 -
:PASSED -
-A INPUT -i lo -j ACCEPT
-A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
-A INPUT -j KNOCKING
-A GATE1 -p tcp --dport 7000 -m recent --name AUTH1 --set -j DROP
-A GATE1 -j DROP
-A GATE2 -m recent --name AUTH1 --remove
-A GATE2 -p tcp --dport 8000 -m recent --name AUTH2 --set -j DROP
-A GATE2 -j GATE1
-A GATE3 -m recent --name AUTH2 --remove
-A GATE3 -p tcp --dport 9000 -m recent --name AUTH3 --set -j DROP
-A GATE3 -j GATE1
-A PASSED -m recent --name AUTH3 --remove
-A PASSED -p tcp --dport 22 -j ACCEPT
-A PASSED -j GATE1
-A KNOCKING -m recent --rcheck --seconds 30 --name AUTH3 -j PASSED
-A KNOCKING -m recent --rcheck --seconds 10 --name AUTH2 -j GATE3
-A KNOCKING -m recent --rcheck --seconds 10 --name AUTH1 -j GATE2
-A KNOCKING -j GATE1
COMMIT
";
