//! What paths and patterns share: limits, alphabet, percent escapes.
//!
//! Every byte above 0x7f is an ordinary one: the text is known to be UTF-8. The escapes are those of RFC 3986
//! §2.1, without `+` for a space.

use std::borrow::Cow;

/// The most bytes in a path or a pattern.
pub const MAX_PATH_LEN: usize = 1024;

/// The most segments in a path or a pattern.
pub const MAX_SEGMENTS: usize = 32;

const IN_NAME: u8 = 1;
const PLAIN: u8 = 2;
const FORBIDDEN: u8 = 4;

/// The classes of each byte. A lookup is one load on the hot path.
static CLASS: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let byte = at as u8;
        if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-') {
            table[at] |= IN_NAME;
        }
        table[at] |= match byte {
            b'{' | b'}' | b'#' => FORBIDDEN,
            _ if byte.is_ascii_control() => FORBIDDEN,
            b'/' | b'?' | b'%' => 0,
            _ => PLAIN,
        };
        at += 1;
    }
    table
}

/// Whether the byte is allowed in a part of a subsystem's name.
#[inline]
pub(crate) fn is_in_name(byte: u8) -> bool {
    CLASS[usize::from(byte)] & IN_NAME != 0
}

/// Whether the byte needs no escape in a segment.
#[inline]
pub(crate) fn is_plain(byte: u8) -> bool {
    CLASS[usize::from(byte)] & PLAIN != 0
}

/// Whether the byte is allowed nowhere in a path: control characters, `{`, `}`, `#`.
#[inline]
pub(crate) fn is_forbidden(byte: u8) -> bool {
    CLASS[usize::from(byte)] & FORBIDDEN != 0
}

/// Reads the escape `%XX` at the position, if there is a whole one.
#[inline]
pub(crate) fn escape_at(bytes: &[u8], at: usize) -> Option<u8> {
    let [b'%', high, low] = *bytes.get(at..at + 3)? else {
        return None;
    };
    Some(hex(high)? << 4 | hex(low)?)
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

fn decoded_bytes(raw: &str) -> impl Iterator<Item = u8> {
    let bytes = raw.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        let byte = *bytes.get(at)?;
        let escape = escape_at(bytes, at);
        at += if escape.is_some() { 3 } else { 1 };
        Some(escape.unwrap_or(byte))
    })
}

/// Whether the text of at most [`MAX_PATH_LEN`] bytes is UTF-8 once decoded.
///
/// The text may have several segments: `/` is ASCII, so the whole is UTF-8 if and only if each segment is.
#[cold]
pub(crate) fn decodes_to_utf8(raw: &str) -> bool {
    debug_assert!(raw.len() <= MAX_PATH_LEN);
    let mut decoded = [0; MAX_PATH_LEN];
    let mut len = 0;
    for (slot, byte) in decoded.iter_mut().zip(decoded_bytes(raw)) {
        *slot = byte;
        len += 1;
    }
    std::str::from_utf8(&decoded[..len]).is_ok()
}

/// Decodes the percent escapes of one segment.
///
/// Text without `%` is returned borrowed. `+` is literal, and an escaped `/` becomes a `/` without splitting the
/// segment. A segment of a parsed path always decodes exactly. In other text, a malformed escape stays as
/// written, and bytes that are not UTF-8 become U+FFFD.
///
/// # Examples
/// ```
/// use mycelia_core::decode;
///
/// assert_eq!(decode("a%2Fb"), "a/b");
/// assert_eq!(decode("caf%C3%A9+1"), "café+1");
/// assert_eq!(decode("100%"), "100%");
/// ```
pub fn decode(raw: &str) -> Cow<'_, str> {
    if !raw.as_bytes().contains(&b'%') {
        return Cow::Borrowed(raw);
    }
    let decoded: Vec<u8> = decoded_bytes(raw).collect();
    Cow::Owned(match String::from_utf8(decoded) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

/// Escapes any text so that it can be one segment of a path.
///
/// [`decode`] reverses it. Text without `/`, `?`, `#`, `%`, `{`, `}` and control characters is returned borrowed.
/// The empty text stays empty, and an empty segment is not allowed in a path.
///
/// # Examples
/// ```
/// use mycelia_core::{PathRef, decode, encode};
///
/// let path = format!("files://{}", encode("50%/{draft}"));
/// assert_eq!(path, "files://50%25%2F%7Bdraft%7D");
/// let segment = PathRef::parse(&path)?.segments().next().unwrap();
/// assert_eq!(decode(segment), "50%/{draft}");
/// # Ok::<(), mycelia_core::PathError>(())
/// ```
pub fn encode(text: &str) -> Cow<'_, str> {
    if text.bytes().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut encoded = String::with_capacity(text.len() + 8);
    for char in text.chars() {
        match u8::try_from(char) {
            Ok(byte) if !is_plain(byte) => {
                const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
                encoded.push('%');
                encoded.push(char::from(DIGITS[usize::from(byte >> 4)]));
                encoded.push(char::from(DIGITS[usize::from(byte & 15)]));
            }
            _ => encoded.push(char),
        }
    }
    Cow::Owned(encoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_without_escapes_is_borrowed() {
        assert!(matches!(decode("plain+text"), Cow::Borrowed(_)));
        assert!(matches!(encode("plain text é"), Cow::Borrowed(_)));
    }

    #[test]
    fn an_escaped_slash_does_not_split() {
        assert_eq!(decode("a%2fb%2Fc"), "a/b/c");
    }

    #[test]
    fn a_malformed_escape_stays_as_written() {
        assert_eq!(decode("%"), "%");
        assert_eq!(decode("%4"), "%4");
        assert_eq!(decode("%zz%41"), "%zzA");
        assert_eq!(decode("%%41"), "%A");
    }

    #[test]
    fn escapes_that_are_not_utf8_become_the_replacement_character() {
        assert_eq!(decode("a%FFb"), "a\u{fffd}b");
        assert!(!decodes_to_utf8("a%FFb"));
        assert!(!decodes_to_utf8("%C3/%A9"));
        assert!(decodes_to_utf8("%C3%A9/%F0%9F%A6%80"));
    }
}
