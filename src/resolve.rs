//! Looking up host names by the system's resolver: `/etc/hosts`, nsswitch and DNS as configured.

use std::ffi::{CStr, CString};
use std::ptr::null_mut;

use crate::sys::errno;

/// Addresses of which family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Of both.
    Any,
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// The numeric addresses of a host, in the resolver's order and without repetition. Blocks, so
/// it belongs on a worker thread. A host that is not found has none.
///
/// # Errors
/// EMFILE or ENFILE: without a descriptor the resolver can't look.
pub fn lookup(host: &str, family: Family) -> Result<Vec<String>, i32> {
    let Ok(name) = CString::new(host) else { return Ok(Vec::new()) };
    // SAFETY: all zeroes are valid hints.
    let mut hints: libc::addrinfo = unsafe { std::mem::zeroed() };
    hints.ai_socktype = libc::SOCK_STREAM;
    hints.ai_family = match family {
        Family::Any => libc::AF_UNSPEC,
        Family::V4 => libc::AF_INET,
        Family::V6 => libc::AF_INET6,
    };
    let mut list = null_mut();
    // SAFETY: name and hints live across the call; `list` is a valid out pointer.
    let failed = unsafe {
        libc::getaddrinfo(name.as_ptr(), std::ptr::null(), &raw const hints, &raw mut list)
    };
    if failed != 0 {
        return match errno() {
            errno @ (libc::EMFILE | libc::ENFILE) if failed == libc::EAI_SYSTEM => Err(errno),
            _ => Ok(Vec::new()),
        };
    }
    let mut addresses = Vec::new();
    let mut entry = list;
    // SAFETY: getaddrinfo gave a list that ends with null and is valid until freed below.
    while let Some(info) = unsafe { entry.as_ref() } {
        addresses.extend(numeric(info).filter(|text| !addresses.contains(text)));
        entry = info.ai_next;
    }
    // SAFETY: the list came from getaddrinfo and is not used any more.
    unsafe { libc::freeaddrinfo(list) };
    Ok(addresses)
}

/// An entry's address as text, with the scope of a link-local one.
fn numeric(info: &libc::addrinfo) -> Option<String> {
    let mut text = [0u8; 64];
    // SAFETY: the entry's address and the buffer are valid and their lengths are passed.
    let failed = unsafe {
        libc::getnameinfo(
            info.ai_addr,
            info.ai_addrlen,
            text.as_mut_ptr().cast(),
            libc::socklen_t::try_from(text.len()).ok()?,
            null_mut(),
            0,
            libc::NI_NUMERICHOST,
        )
    };
    if failed != 0 {
        return None;
    }
    Some(CStr::from_bytes_until_nul(&text).ok()?.to_str().ok()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(host: &str, family: Family) -> Vec<String> {
        lookup(host, family).expect("descriptors are left")
    }

    #[test]
    fn localhost_is_found_without_a_network() {
        let found = found("localhost", Family::Any);
        assert!(found.iter().any(|ip| ip == "127.0.0.1" || ip == "::1"), "{found:?}");
    }

    #[test]
    fn an_address_is_of_one_family() {
        assert_eq!(found("127.0.0.1", Family::V4), ["127.0.0.1"]);
        assert_eq!(found("127.0.0.1", Family::V6), Vec::<String>::new());
        assert_eq!(found("::1", Family::V6), ["::1"]);
        assert_eq!(found("::1", Family::V4), Vec::<String>::new());
    }

    #[test]
    fn nonsense_has_no_address() {
        assert_eq!(found("no such host", Family::Any), Vec::<String>::new());
        assert_eq!(found("nul\0inside", Family::Any), Vec::<String>::new());
    }
}
