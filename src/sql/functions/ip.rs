//! IPADDRESS and IPPREFIX: their texts, and the functions over them.
//!
//! An address is kept as sixteen bytes, IPv4 as `::ffff:a.b.c.d`, so that addresses are in order as bytes are.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use datafusion::logical_expr::ScalarUDF;

mod contains;
mod prefixes;

/// An address as it is kept.
pub(super) type Address = [u8; 16];

/// An address and the number of bits that all addresses of the network share with it, as they are kept.
pub(super) type Prefix = [u8; 17];

/// The functions of this file and those below it.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    let mut functions = contains::scalar();
    functions.extend(prefixes::scalar());
    functions
}

/// The address that a text is.
pub(super) fn address_of(text: &str) -> Option<Address> {
    Some(match text.parse::<IpAddr>().ok()? {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    })
}

/// The address in four or sixteen bytes.
pub(super) fn address_of_bytes(bytes: &[u8]) -> Option<Address> {
    match <[u8; 4]>::try_from(bytes) {
        Ok(bytes) => Some(Ipv4Addr::from(bytes).to_ipv6_mapped().octets()),
        Err(_) => bytes.try_into().ok(),
    }
}

/// The text of an address: IPv4 with dots, IPv6 in its short form.
pub(super) fn address_text(address: &[u8]) -> String {
    let Ok(address) = Address::try_from(address) else { return String::new() };
    let address = Ipv6Addr::from(address);
    match address.to_ipv4_mapped() {
        Some(address) => address.to_string(),
        None => address.to_string(),
    }
}

fn is_ipv4(address: &Address) -> bool {
    Ipv6Addr::from(*address).to_ipv4_mapped().is_some()
}

/// How many bits an address of its version has.
fn bits(address: &Address) -> u8 {
    if is_ipv4(address) { 32 } else { 128 }
}

/// The prefix that a text is, `10.0.0.0/8`; bits behind the prefix are dropped.
pub(super) fn prefix_of(text: &str) -> Option<Prefix> {
    let (address, length) = text.split_once('/')?;
    let address = address_of(address)?;
    let digits = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
    let length: u8 = digits.then(|| length.parse().ok())??;
    prefix(&address, length)
}

/// The network of an address, if the address has so many bits.
fn prefix(address: &Address, length: u8) -> Option<Prefix> {
    if length > bits(address) {
        return None;
    }
    let mut prefix = [0; 17];
    prefix[..16].copy_from_slice(&lowest(address, length));
    prefix[16] = length;
    Some(prefix)
}

/// The prefix that holds one address alone.
pub(super) fn whole_prefix(address: &[u8]) -> Prefix {
    let mut prefix = [0; 17];
    prefix[..16].copy_from_slice(address);
    if let Some(address) = address.first_chunk() {
        prefix[16] = bits(address);
    }
    prefix
}

/// `10.0.0.0/8`.
pub(super) fn prefix_text(prefix: &[u8]) -> String {
    match prefix.split_last() {
        Some((length, address)) => format!("{}/{length}", address_text(address)),
        None => String::new(),
    }
}

/// The bits that are free below a prefix, set.
fn mask(address: &Address, length: u8) -> u128 {
    let free = u32::from(bits(address).saturating_sub(length));
    1_u128.checked_shl(free).map_or(u128::MAX, |bit| bit - 1)
}

/// The first address of a network.
fn lowest(address: &Address, length: u8) -> Address {
    (u128::from_be_bytes(*address) & !mask(address, length)).to_be_bytes()
}

/// The last address of a network.
fn highest(address: &Address, length: u8) -> Address {
    (u128::from_be_bytes(*address) | mask(address, length)).to_be_bytes()
}

/// Whether an address is in the network; one of the other version never is.
fn is_in(network: &Address, length: u8, address: &Address) -> bool {
    is_ipv4(network) == is_ipv4(address) && lowest(network, length) == lowest(address, length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_back_in_their_short_form() {
        for (text, expected) in [
            ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
            ("2001:db8:0:1:0:0:0:1", "2001:db8:0:1::1"),
            ("1:0:0:4:5:0:0:8", "1::4:5:0:0:8"),
            ("1:2:3:4:5:6:0:8", "1:2:3:4:5:6:0:8"),
            ("10.0.0.1", "10.0.0.1"),
            ("::ffff:1.2.3.4", "1.2.3.4"),
            ("::ffff:102:304", "1.2.3.4"),
            ("64:ff9b::10.0.0.1", "64:ff9b::a00:1"),
            ("::1", "::1"),
            ("::", "::"),
            ("::13.1.68.3", "::d01:4403"),
        ] {
            assert_eq!(address_text(&address_of(text).unwrap()), expected, "{text}");
        }
        for text in [
            "",
            "10.0.0",
            "10.0.0.01",
            "256.1.1.1",
            "1.2.3.4.5",
            " 10.0.0.1",
            "10.0.0.1/32",
            "fe80::1%eth0",
            "2001:db8::g",
            "ec2.amazonaws.com",
            "AWS Internal",
        ] {
            assert_eq!(address_of(text), None, "{text}");
        }
    }

    #[test]
    fn prefixes_drop_the_bits_behind_them() {
        for (text, expected) in [
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("10.1.2.3/32", "10.1.2.3/32"),
            ("1.2.3.4/0", "0.0.0.0/0"),
            ("2001:db8:ffff::/33", "2001:db8:8000::/33"),
            ("::1/128", "::1/128"),
            ("ffff::/0", "::/0"),
        ] {
            assert_eq!(prefix_text(&prefix_of(text).unwrap()), expected);
        }
        for text in [
            "10.0.0.0",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/-1",
            "10.0.0.0/+8",
            "::/129",
            "x/8",
            "10.0.0.0/8/8",
        ] {
            assert_eq!(prefix_of(text), None, "{text}");
        }
        let whole = |text: &str| prefix_text(&whole_prefix(&address_of(text).unwrap()));
        assert_eq!((whole("10.0.0.1"), whole("::1")), ("10.0.0.1/32".to_owned(), "::1/128".to_owned()));
    }

    #[test]
    fn bytes_of_either_length_are_an_address() {
        assert_eq!(address_text(&address_of_bytes(&[10, 0, 0, 1]).unwrap()), "10.0.0.1");
        assert!(address_of_bytes(&[0; 16]).is_some());
        assert_eq!(address_of_bytes(&[0; 5]), None);
    }

    #[test]
    fn addresses_are_in_order_as_their_bytes_are() {
        assert!(address_of("10.0.0.9") < address_of("10.0.0.10"));
        assert!(address_of("9.255.255.255") < address_of("10.0.0.0"));
        assert!(address_of("255.255.255.255") < address_of("2001:db8::"));
    }
}
