//! The parameters of a request, read as Nacos reads them.

use crate::Refusal;
use memchr::{memchr, memchr2};
use std::borrow::Cow;
use std::string::FromUtf8Error;

/// The pairs of the query and of a form body, in that order, so that the query wins and the first of a name wins.
///
/// Lenient where clients are sloppy: empty pairs are skipped (Go's `?&a=b&`), bodies need not be percent-encoded (Go's
/// `PUT`), `%` that starts no escape stands for itself.
#[derive(Debug, Default)]
pub struct Form<'a> {
    pairs: Vec<Pair<'a>>,
}

/// Room for what a registration sends.
const PAIRS_USUAL: usize = 16;

type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// What `form_urlencoded::parse` reads, a pair at a time: that one takes each letter apart, which was 22 in
/// a hundred of a beat's instructions outside the kernel.
fn read(text: &[u8]) -> impl Iterator<Item = Pair<'_>> {
    let mut rest = Some(text);
    let pieces = std::iter::from_fn(move || {
        let (piece, behind) = split_at_first(b'&', rest?);
        rest = behind;
        Some(piece)
    });
    pieces.filter(|piece| !piece.is_empty()).map(|piece| {
        let (name, value) = split_at_first(b'=', piece);
        (decoded(name), decoded(value.unwrap_or_default()))
    })
}

/// What stands before the first `byte`, and what behind it.
fn split_at_first(byte: u8, text: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr(byte, text) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    }
}

/// `+` is a space, `%` and two digits a byte; a `%` without them is itself, and what is not UTF-8 the replacement character.
fn decoded(text: &[u8]) -> Cow<'_, str> {
    if memchr2(b'%', b'+', text).is_none() {
        return match std::str::from_utf8(text) {
            Ok(text) => text.into(),
            Err(_) => String::from_utf8_lossy(text),
        };
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, behind @ ..] = rest {
        rest = behind;
        bytes.push(match (first, behind) {
            (b'+', _) => b' ',
            (b'%', [high, low, after @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    rest = after;
                    (high << 4) | low
                }
                _ => b'%',
            },
            (itself, _) => *itself,
        });
    }
    let lossy = |error: FromUtf8Error| String::from_utf8_lossy(error.as_bytes()).into_owned();
    String::from_utf8(bytes).unwrap_or_else(lossy).into()
}

/// The value of a hexadecimal digit.
fn digit(letter: u8) -> Option<u8> {
    match letter {
        b'0'..=b'9' => Some(letter - b'0'),
        b'a'..=b'f' => Some(letter - b'a' + 10),
        b'A'..=b'F' => Some(letter - b'A' + 10),
        _ => None,
    }
}

/// Java's `String#trim`: everything up to the space.
fn trimmed(text: &str) -> &str {
    text.trim_matches(|c| c <= ' ')
}

impl<'a> Form<'a> {
    /// Pairs read of one request; later ones are not there. Nacos's clients send at most 20.
    pub const PAIRS_MAX: usize = 1_000;

    pub fn parse(query: &'a [u8], body: &'a [u8]) -> Self {
        let mut pairs = Vec::with_capacity(PAIRS_USUAL);
        pairs.extend(read(query).chain(read(body)).take(Self::PAIRS_MAX));
        Self { pairs }
    }

    /// Puts what stands in the path before all else. Escapes are read; `+` is itself there.
    pub fn with_path(mut self, name: &'static str, segment: &str) -> Self {
        let value = decoded(segment.replace('+', "%2B").as_bytes()).into_owned();
        self.pairs.insert(0, (Cow::Borrowed(name), Cow::Owned(value)));
        self
    }

    /// The first value of that name, as it was sent.
    pub fn verbatim(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(k, _)| k == name).map(|(_, v)| &**v)
    }

    /// The value, trimmed; none if absent or blank.
    pub fn optional(&self, name: &str) -> Option<&str> {
        self.verbatim(name).map(trimmed).filter(|text| !text.is_empty())
    }

    /// # Errors
    /// [`Refusal::Required`] if absent or blank.
    pub fn required(&self, name: &'static str) -> Result<&str, Refusal> {
        self.optional(name).ok_or(Refusal::Required(name))
    }

    /// As [`Form::required`], worded as the framework words it.
    ///
    /// # Errors
    /// [`Refusal::Missing`].
    pub fn declared(&self, name: &'static str) -> Result<&str, Refusal> {
        self.optional(name).ok_or(Refusal::Missing(name))
    }

    /// A whole number, none if absent or blank.
    ///
    /// # Errors
    /// [`Refusal::NotANumber`], also for what does not fit 32 bits.
    pub fn int(&self, name: &str) -> Result<Option<i32>, Refusal> {
        self.optional(name)
            .map(|text| text.parse().map_err(|_| Refusal::NotANumber(text.to_owned())))
            .transpose()
    }

    /// A whole number where garbage reads as 0 (`NumberUtils#toInt`).
    pub fn int_or_zero(&self, name: &str) -> Option<i32> {
        self.optional(name).map(|text| text.parse().unwrap_or(0))
    }

    /// v1's instance flags: `true`, `on`, `yes`, `y`, `t` in any case; everything else is false and never an error.
    pub fn flag(&self, name: &str) -> Option<bool> {
        self.optional(name).map(|text| {
            ["true", "on", "yes", "y", "t"]
                .iter()
                .any(|yes| text.eq_ignore_ascii_case(yes))
        })
    }

    /// v1's query flags: `true` in any case and nothing else.
    pub fn is_true(&self, name: &str) -> bool {
        self.optional(name)
            .is_some_and(|text| text.eq_ignore_ascii_case("true"))
    }

    /// The framework's flags, which refuse what they do not know.
    ///
    /// # Errors
    /// [`Refusal::Text`].
    pub fn strict_flag(&self, name: &str) -> Result<Option<bool>, Refusal> {
        let Some(text) = self.optional(name) else {
            return Ok(None);
        };
        match text.to_ascii_lowercase().as_str() {
            "true" | "on" | "yes" | "1" => Ok(Some(true)),
            "false" | "off" | "no" | "0" => Ok(Some(false)),
            _ => Err(Refusal::Text(format!("Invalid boolean value [{text}]"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(query: &str) -> Form<'_> {
        Form::parse(query.as_bytes(), b"")
    }

    #[test]
    fn the_query_wins_over_the_body_and_the_first_over_the_second() {
        let form = Form::parse(b"a=1&a=2", b"a=3&b=4");
        assert_eq!(form.optional("a"), Some("1"));
        assert_eq!(form.optional("b"), Some("4"));
    }

    #[test]
    fn a_path_is_unescaped_and_wins() {
        let form = of("key=other").with_path("key", "public%23%23G@@a+b%26&c=d");
        assert_eq!(form.verbatim("key"), Some("public##G@@a+b&&c=d"));
    }

    #[test]
    fn t8_a_go_put_body_may_be_raw_json() {
        let form = Form::parse(b"", br#"beat={"ip":"10.0.0.1","metadata":{}}&namespaceId=public"#);
        assert_eq!(form.optional("beat"), Some(r#"{"ip":"10.0.0.1","metadata":{}}"#));
        assert_eq!(form.optional("namespaceId"), Some("public"));
    }

    #[test]
    fn t9_empty_pairs_are_skipped() {
        let form = of("&namespaceId=public&&serviceName=svc&");
        assert_eq!(form.optional("namespaceId"), Some("public"));
        assert_eq!(form.optional("serviceName"), Some("svc"));
        assert_eq!(form.pairs.len(), 2);
    }

    #[test]
    fn t10_flags_take_pythons_spelling_and_never_fail() {
        let form = of("a=True&b=False&c=1&d=T&e=On&f=");
        assert_eq!(form.flag("a"), Some(true));
        assert_eq!(form.flag("b"), Some(false));
        assert_eq!(form.flag("c"), Some(false));
        assert_eq!(form.flag("d"), Some(true));
        assert_eq!(form.flag("e"), Some(true));
        assert_eq!(form.flag("f"), None);
        assert!(form.is_true("a") && !form.is_true("d"));
    }

    #[test]
    fn strict_flags_take_one_and_refuse_garbage() {
        let form = of("a=1&b=no&c=maybe");
        assert_eq!(form.strict_flag("a"), Ok(Some(true)));
        assert_eq!(form.strict_flag("b"), Ok(Some(false)));
        assert!(form.strict_flag("c").is_err());
        assert_eq!(form.strict_flag("d"), Ok(None));
    }

    #[test]
    fn blank_is_absent_and_numbers_are_strict() {
        let form = of("a=%20&b=x1&c=99999999999&d=%2B7");
        assert_eq!(form.required("a"), Err(Refusal::Required("a")));
        assert_eq!(form.int("b").unwrap_err().to_string(), "For input string: \"x1\"");
        assert!(form.int("c").is_err());
        assert_eq!(form.int("d"), Ok(Some(7)));
        assert_eq!(form.int_or_zero("b"), Some(0));
    }

    #[test]
    fn broken_escapes_stand_for_themselves_and_bad_utf8_becomes_the_replacement_character() {
        let form = of("a=100%&b=%zz&c=%ff&d=x+y");
        assert_eq!(form.optional("a"), Some("100%"));
        assert_eq!(form.optional("b"), Some("%zz"));
        assert_eq!(form.optional("c"), Some("\u{fffd}"));
        assert_eq!(form.optional("d"), Some("x y"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(query in proptest::collection::vec(any::<u8>(), 0..400), body in proptest::collection::vec(any::<u8>(), 0..400)) {
            let form = Form::parse(&query, &body);
            let _ = (form.int("a"), form.flag("a"), form.strict_flag("a"), crate::parse_instance(&form, true));
            let _ = crate::parse_beat(&form);
        }

        #[test]
        fn pairs_are_read_as_the_standard_says(
            text in "[a-c=&%+2é\\x00]{0,60}",
            bytes in proptest::collection::vec(any::<u8>(), 0..60),
            // Bytes that are not UTF-8 by themselves and are together, and the other way round.
            escaped in proptest::collection::vec(any::<u8>(), 0..12),
        ) {
            let escaped: String = escaped.iter().map(|byte| format!("%{byte:02x}")).collect();
            for text in [text.as_bytes(), &bytes, escaped.as_bytes()] {
                let expected: Vec<_> = form_urlencoded::parse(text).collect();
                prop_assert_eq!(Form::parse(text, b"").pairs, expected);
            }
        }

        #[test]
        fn what_is_encoded_comes_back(pairs in proptest::collection::vec(("[a-z]{1,8}", "\\PC{0,20}"), 1..10)) {
            let mut encoded = form_urlencoded::Serializer::new(String::new());
            for (k, v) in &pairs {
                encoded.append_pair(k, v);
            }
            let encoded = encoded.finish();
            for form in [Form::parse(encoded.as_bytes(), b""), Form::parse(b"", encoded.as_bytes())] {
                for (k, _) in &pairs {
                    let first = pairs.iter().find(|(name, _)| name == k).map(|(_, v)| v.as_str());
                    prop_assert_eq!(form.verbatim(k), first);
                }
            }
        }
    }
}
