//! JSON schemas, put together.

use serde_json::{Map, Value, json};

pub(super) fn text() -> Value {
    json!({ "type": "string" })
}

pub(super) fn just(text: &str) -> Value {
    json!({ "type": "string", "const": text })
}

pub(super) fn one_of(texts: &[&str]) -> Value {
    json!({ "type": "string", "enum": texts })
}

pub(super) fn whole() -> Value {
    json!({ "type": "integer" })
}

/// A whole number that is never negative.
pub(super) fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

pub(super) fn number() -> Value {
    json!({ "type": "number" })
}

pub(super) fn truth() -> Value {
    json!({ "type": "boolean" })
}

pub(super) fn null() -> Value {
    json!({ "type": "null" })
}

pub(super) fn list(items: Value) -> Value {
    json!({ "type": "array", "items": items })
}

/// An object whose keys are data.
pub(super) fn map(values: Value) -> Value {
    json!({ "type": "object", "additionalProperties": values })
}

pub(super) fn any_of<const N: usize>(schemas: [Value; N]) -> Value {
    json!({ "anyOf": schemas.to_vec() })
}

pub(super) fn or_null(schema: Value) -> Value {
    any_of([schema, null()])
}

/// A schema among the components.
pub(super) fn see(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// An object with these members. One whose name ends with `?` may be absent; further ones may come in later versions.
pub(super) fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    let required: Vec<&str> = members
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| !name.ends_with('?'))
        .collect();
    let properties: Map<String, Value> = members
        .iter()
        .map(|(name, schema)| (name.trim_end_matches('?').to_owned(), schema.clone()))
        .collect();
    json!({ "type": "object", "required": required, "properties": properties })
}

/// With a word on what it is.
pub(super) fn said(mut schema: Value, description: &str) -> Value {
    if let Some(members) = schema.as_object_mut() {
        members.insert("description".to_owned(), json!(description));
    }
    schema
}
