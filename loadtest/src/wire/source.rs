//! A visitor's apparent address: a source address, a PROXY header, or an `X-Forwarded-For`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Addresses that are claimed: 198.18.0.0/15, which is set aside for measurements, so that no trusted proxy has
/// one of them.
const MEASURING: u64 = 1 << 17;
/// Usable hosts in each 127.x.y.0/24 that is used.
const HOSTS: u64 = 250;
/// The second byte of an attack's address is so far above that of a visitor's, of which there are a million at most.
const ATTACKERS: u8 = 200;
/// Start of a PROXY header, version 2.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// The address of 127/8 of visitor `index`, if the target is there. Only Linux answers on all of 127/8 without
/// being asked to.
pub(super) fn loopback(target: SocketAddr, index: u64) -> Option<Ipv4Addr> {
    let local = cfg!(target_os = "linux") && target.is_ipv4() && target.ip().is_loopback();
    let [low, middle, high] = [index % HOSTS, index / HOSTS % HOSTS, index / (HOSTS * HOSTS) % HOSTS];
    local.then(|| Ipv4Addr::new(127, 1 + high as u8, middle as u8, 1 + low as u8))
}

/// Address number `index` of those that attacks come from: none of a visitor's.
pub(crate) fn attacker(target: SocketAddr, index: u32) -> Option<Ipv4Addr> {
    loopback(target, u64::from(index)).map(|address| {
        let [net, high, middle, low] = address.octets();
        Ipv4Addr::new(net, high + ATTACKERS, middle, low)
    })
}

/// The address that is claimed for visitor `index`.
pub(super) fn claimed(index: u64) -> Ipv4Addr {
    let [.., high, middle, low] = (index % MEASURING).to_be_bytes();
    Ipv4Addr::new(198, 18 + high, middle, low)
}

/// The PROXY header, version 2, of a connection from `source` to `target`.
pub(super) fn proxy_header(source: Ipv4Addr, target: SocketAddr) -> [u8; 28] {
    const VERSION_2_PROXY: u8 = 0x21;
    const TCP_OVER_IPV4: u8 = 0x11;
    let destination = match target.ip() {
        IpAddr::V4(address) => address,
        IpAddr::V6(address) => address.to_ipv4().unwrap_or(Ipv4Addr::UNSPECIFIED),
    };
    let mut header = [0; 28];
    header[..12].copy_from_slice(&SIGNATURE);
    header[12..16].copy_from_slice(&[VERSION_2_PROXY, TCP_OVER_IPV4, 0, 12]);
    header[16..20].copy_from_slice(&source.octets());
    header[20..24].copy_from_slice(&destination.octets());
    header[24..26].copy_from_slice(&40_000_u16.to_be_bytes());
    header[26..].copy_from_slice(&target.port().to_be_bytes());
    header
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_visitor_has_an_address_of_their_own_as_far_as_there_are_any() {
        let local = SocketAddr::from(([127, 0, 0, 1], 80));
        let sources: HashSet<_> = (0..150_000).filter_map(|index| loopback(local, index)).collect();
        assert_eq!(sources.len(), 150_000);
        assert!(
            sources.iter().all(|address| address.is_loopback() && address.octets()[3] > 0 && address.octets()[3] < 255)
        );
        let claimed: HashSet<_> = (0..MEASURING).map(claimed).collect();
        assert_eq!(claimed.len() as u64, MEASURING);
        assert!(claimed.iter().all(|address| address.octets()[0] == 198 && address.octets()[1] & 0xfe == 18));
        assert_eq!(loopback(([192, 0, 2, 1], 80).into(), 1), None, "elsewhere a machine has its own address");
    }

    #[test]
    fn a_proxy_header_is_as_the_protocol_says() {
        let header = proxy_header(Ipv4Addr::new(198, 18, 0, 5), ([127, 0, 0, 1], 8080).into());
        let expected = b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a\x21\x11\x00\x0c\xc6\x12\x00\x05\x7f\x00\x00\x01\x9c\x40\x1f\x90";
        assert_eq!(&header, expected);
    }
}
