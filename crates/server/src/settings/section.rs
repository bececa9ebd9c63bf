//! One section of the tree, its defaults and its documentation from a single text.

/// A key of a section, for the generated page.
pub(crate) struct Field {
    pub(crate) name: &'static str,
    /// The doc comment, line by line.
    pub(crate) about: &'static [&'static str],
}

/// Declares a section: a struct whose fields have a default each. The doc comments become the page `docs/config.md`, so
/// that what is written at the field is what operators read.
macro_rules! section {
    (
        $(#[doc = $about:literal])*
        $name:ident { $( $(#[doc = $doc:literal])* $field:ident: $type:ty = $default:expr, )* }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $( $(#[doc = $doc])* pub $field: $type, )*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $field: $default, )* }
            }
        }

        impl $name {
            pub(super) const ABOUT: &'static [&'static str] = &[$($about),*];
            pub(super) const FIELDS: &'static [$crate::settings::section::Field] = &[
                $( $crate::settings::section::Field { name: stringify!($field), about: &[$($doc),*] }, )*
            ];
        }
    };
}

pub(super) use section;
