//! One call as it is routed and described.

use super::route::Route;
use hyper::Method;
use muster_wire::Parameter;

/// With which method a path is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verb {
    /// Whichever.
    Any,
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Verb {
    /// `HEAD` asks as `GET` does.
    pub(super) fn fits(self, method: &Method) -> bool {
        match self {
            Verb::Any => true,
            Verb::Get => matches!(*method, Method::GET | Method::HEAD),
            Verb::Post => *method == Method::POST,
            Verb::Put => *method == Method::PUT,
            Verb::Patch => *method == Method::PATCH,
            Verb::Delete => *method == Method::DELETE,
        }
    }
}

/// In which form success is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// Plain text, `ok` mostly.
    Text,
    /// JSON as it is.
    Json,
    /// Inside `{"code":200,"message":null,"data":…}`.
    RestResult,
    /// Inside `{"code":0,"message":"success","data":…}`.
    Result,
    /// Never: 501, detail code 40001 and this reason.
    Disabled(&'static str),
}

/// One call: how it is found, read and described.
#[derive(Clone, Copy, Debug)]
pub(super) struct Endpoint {
    pub(super) route: Route,
    pub(super) verb: Verb,
    /// Below the prefix. `{name}` at its end is a parameter.
    pub(super) path: &'static str,
    /// Further paths that mean the same.
    pub(super) aliases: &'static [&'static str],
    pub(super) summary: &'static str,
    groups: &'static [&'static [Parameter]],
    pub(super) answer: Answer,
}

impl Endpoint {
    const fn new(verb: Verb, path: &'static str, route: Route, answer: Answer, summary: &'static str) -> Self {
        Self {
            route,
            verb,
            path,
            aliases: &[],
            summary,
            groups: &[],
            answer,
        }
    }

    pub(super) const fn any(path: &'static str, route: Route, answer: Answer, summary: &'static str) -> Self {
        Self::new(Verb::Any, path, route, answer, summary)
    }

    pub(super) const fn get(path: &'static str, route: Route, answer: Answer, summary: &'static str) -> Self {
        Self::new(Verb::Get, path, route, answer, summary)
    }

    pub(super) const fn post(path: &'static str, route: Route, answer: Answer, summary: &'static str) -> Self {
        Self::new(Verb::Post, path, route, answer, summary)
    }

    pub(super) const fn put(path: &'static str, route: Route, answer: Answer, summary: &'static str) -> Self {
        Self::new(Verb::Put, path, route, answer, summary)
    }

    pub(super) const fn patch(path: &'static str, route: Route, answer: Answer, summary: &'static str) -> Self {
        Self::new(Verb::Patch, path, route, answer, summary)
    }

    pub(super) const fn delete(path: &'static str, route: Route, answer: Answer, summary: &'static str) -> Self {
        Self::new(Verb::Delete, path, route, answer, summary)
    }

    pub(super) const fn also_at(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    pub(super) const fn takes(mut self, groups: &'static [&'static [Parameter]]) -> Self {
        self.groups = groups;
        self
    }

    /// What it reads, in the order of its groups.
    pub(super) fn parameters(&self) -> impl Iterator<Item = &'static Parameter> {
        self.groups.iter().flat_map(|group| group.iter())
    }

    /// All its paths.
    pub(super) fn paths(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.path).chain(self.aliases.iter().copied())
    }
}
