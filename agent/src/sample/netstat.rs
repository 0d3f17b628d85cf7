//! Counters of IP, ICMP, TCP and UDP: `/proc/net/snmp`, `/proc/net/netstat` and `/proc/net/snmp6`.
//!
//! The first two files have pairs of lines, names and values; the third has a name and a value a line. Of
//! hundreds of counters those are taken that node_exporter takes.

use super::error::SampleError;
use super::scalar::{Fields, Parse, Scalars};
use super::text::{Line, Lines, cell};
use quorate_common::catalog::{self, MetricDef};
use std::path::Path;

/// Protocol and counter, as they stand in the files.
const COUNTERS: [(&str, &str, &MetricDef); 40] = [
    ("Ip", "Forwarding", &catalog::NETSTAT_IP_FORWARDING),
    ("IpExt", "InOctets", &catalog::NETSTAT_IP_EXT_IN_OCTETS),
    ("IpExt", "OutOctets", &catalog::NETSTAT_IP_EXT_OUT_OCTETS),
    ("Ip6", "InOctets", &catalog::NETSTAT_IP6_IN_OCTETS),
    ("Ip6", "OutOctets", &catalog::NETSTAT_IP6_OUT_OCTETS),
    ("Icmp", "InMsgs", &catalog::NETSTAT_ICMP_IN_MSGS),
    ("Icmp", "InErrors", &catalog::NETSTAT_ICMP_IN_ERRORS),
    ("Icmp", "OutMsgs", &catalog::NETSTAT_ICMP_OUT_MSGS),
    ("Icmp6", "InMsgs", &catalog::NETSTAT_ICMP6_IN_MSGS),
    ("Icmp6", "InErrors", &catalog::NETSTAT_ICMP6_IN_ERRORS),
    ("Icmp6", "OutMsgs", &catalog::NETSTAT_ICMP6_OUT_MSGS),
    ("Tcp", "ActiveOpens", &catalog::NETSTAT_TCP_ACTIVE_OPENS),
    ("Tcp", "PassiveOpens", &catalog::NETSTAT_TCP_PASSIVE_OPENS),
    ("Tcp", "CurrEstab", &catalog::NETSTAT_TCP_CURR_ESTAB),
    ("Tcp", "InSegs", &catalog::NETSTAT_TCP_IN_SEGS),
    ("Tcp", "OutSegs", &catalog::NETSTAT_TCP_OUT_SEGS),
    ("Tcp", "RetransSegs", &catalog::NETSTAT_TCP_RETRANS_SEGS),
    ("Tcp", "InErrs", &catalog::NETSTAT_TCP_IN_ERRS),
    ("Tcp", "OutRsts", &catalog::NETSTAT_TCP_OUT_RSTS),
    ("TcpExt", "ListenOverflows", &catalog::NETSTAT_TCP_EXT_LISTEN_OVERFLOWS),
    ("TcpExt", "ListenDrops", &catalog::NETSTAT_TCP_EXT_LISTEN_DROPS),
    ("TcpExt", "SyncookiesSent", &catalog::NETSTAT_TCP_EXT_SYNCOOKIES_SENT),
    ("TcpExt", "SyncookiesRecv", &catalog::NETSTAT_TCP_EXT_SYNCOOKIES_RECV),
    ("TcpExt", "SyncookiesFailed", &catalog::NETSTAT_TCP_EXT_SYNCOOKIES_FAILED),
    ("TcpExt", "TCPSynRetrans", &catalog::NETSTAT_TCP_EXT_TCP_SYN_RETRANS),
    ("TcpExt", "TCPTimeouts", &catalog::NETSTAT_TCP_EXT_TCP_TIMEOUTS),
    ("Udp", "InDatagrams", &catalog::NETSTAT_UDP_IN_DATAGRAMS),
    ("Udp", "OutDatagrams", &catalog::NETSTAT_UDP_OUT_DATAGRAMS),
    ("Udp", "NoPorts", &catalog::NETSTAT_UDP_NO_PORTS),
    ("Udp", "InErrors", &catalog::NETSTAT_UDP_IN_ERRORS),
    ("Udp", "RcvbufErrors", &catalog::NETSTAT_UDP_RCVBUF_ERRORS),
    ("Udp", "SndbufErrors", &catalog::NETSTAT_UDP_SNDBUF_ERRORS),
    ("Udp6", "InDatagrams", &catalog::NETSTAT_UDP6_IN_DATAGRAMS),
    ("Udp6", "OutDatagrams", &catalog::NETSTAT_UDP6_OUT_DATAGRAMS),
    ("Udp6", "NoPorts", &catalog::NETSTAT_UDP6_NO_PORTS),
    ("Udp6", "InErrors", &catalog::NETSTAT_UDP6_IN_ERRORS),
    ("Udp6", "RcvbufErrors", &catalog::NETSTAT_UDP6_RCVBUF_ERRORS),
    ("Udp6", "SndbufErrors", &catalog::NETSTAT_UDP6_SNDBUF_ERRORS),
    ("UdpLite", "InErrors", &catalog::NETSTAT_UDPLITE_IN_ERRORS),
    ("UdpLite6", "InErrors", &catalog::NETSTAT_UDPLITE6_IN_ERRORS),
];

/// Reads three files below `root`, every `interval_ms`. That of IPv6 may be missing.
pub(super) fn new(root: &Path, interval_ms: u32) -> Scalars {
    let files: &[(&str, Parse)] =
        &[("proc/net/snmp", pairs), ("proc/net/netstat", pairs), ("proc/net/snmp6", single)];
    Scalars::new("netstat", root, interval_ms, files)
}

/// `Tcp: InSegs OutSegs` above `Tcp: 5 7`.
fn pairs(mut lines: Lines<'_>, fields: &mut Fields<'_>) -> Result<(), SampleError> {
    while let Some(mut names) = lines.next() {
        let mut values = lines.next().ok_or_else(|| names.error("names without values"))?;
        let protocol = names.until(b':').ok_or_else(|| names.error("no colon"))?;
        if values.until(b':') != Some(protocol) {
            return Err(
                values.error(format!("expected the values of `{}`", String::from_utf8_lossy(protocol)))
            );
        }
        // The kernel has more protocols than we have counters of: a whole pair is left out at once.
        if COUNTERS.iter().any(|(wanted, _, _)| wanted.as_bytes() == protocol) {
            pair(protocol, (names, values), fields)?;
        }
    }
    Ok(())
}

fn pair(
    protocol: &[u8],
    (mut names, mut values): (Line<'_>, Line<'_>),
    fields: &mut Fields<'_>,
) -> Result<(), SampleError> {
    let mut key = protocol.to_vec();
    while let Some(name) = names.word() {
        key.truncate(protocol.len());
        key.extend_from_slice(name);
        match fields.slot(&key, || definition(protocol, name))? {
            Some(slot) => fields.push(slot, cell(values.number(&String::from_utf8_lossy(name))?)),
            None => values.skip(1),
        }
    }
    Ok(())
}

/// `Udp6InDatagrams 5`.
fn single(lines: Lines<'_>, fields: &mut Fields<'_>) -> Result<(), SampleError> {
    for mut line in lines {
        let key = line.word().ok_or_else(|| line.error("no name"))?;
        let split = || {
            let at = key.iter().position(|b| *b == b'6')? + 1;
            definition(&key[..at], &key[at..])
        };
        if let Some(slot) = fields.slot(key, split)? {
            fields.push(slot, cell(line.number(&String::from_utf8_lossy(key))?));
        }
    }
    Ok(())
}

fn definition(protocol: &[u8], name: &[u8]) -> Option<&'static MetricDef> {
    let is_it = |(p, n, _): &&(&str, &str, _)| p.as_bytes() == protocol && n.as_bytes() == name;
    COUNTERS.iter().find(is_it).map(|(_, _, def)| *def)
}

#[cfg(test)]
mod tests {
    use super::super::scalar::say;
    use super::*;

    #[test]
    fn counters_by_name_wherever_they_stand() {
        let snmp = "Ip: Forwarding DefaultTTL\nIp: 2 64\nTcp: MaxConn InSegs New CurrEstab\nTcp: -1 5 x 6\n";
        let netstat = "TcpExt: ListenDrops\nTcpExt: 7\nMPTcpExt: X\nMPTcpExt: 0\n";
        let snmp6 = "Ip6InOctets   \t8\nUdpLite6InErrors 9\nIcmp6InType1 1\n";
        let files = [("proc/net/snmp", snmp), ("proc/net/netstat", netstat), ("proc/net/snmp6", snmp6)];
        let expect = "node_netstat_Ip6_InOctets 8\nnode_netstat_Ip_Forwarding 2\n\
            node_netstat_TcpExt_ListenDrops 7\nnode_netstat_Tcp_CurrEstab 6\nnode_netstat_Tcp_InSegs 5\n\
            node_netstat_UdpLite6_InErrors 9\n";
        assert_eq!(say(new, &files), expect);
    }

    #[test]
    fn garbage_is_named() {
        let check = |text: &str, expect: &str| {
            let expect = format!("failed to parse `/proc/net/snmp` {expect}");
            assert_eq!(say(new, &[("proc/net/snmp", text)]), expect);
        };
        check("Tcp: InSegs\n", "line 1: names without values");
        check("Tcp InSegs\nTcp: 5\n", "line 1: no colon");
        check("Tcp: InSegs\nUdp: 5\n", "line 2: expected the values of `Tcp`");
        check("Tcp: InSegs OutSegs\nTcp: 5\n", "line 2: `OutSegs` is missing");
        check("Tcp: InSegs\nTcp: 5x\n", "line 2: `InSegs` is `5x`, expected a whole number");
    }
}
