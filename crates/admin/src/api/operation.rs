//! What a route takes and answers, read from its handler's signature: a document that is made of this cannot say anything else than the
//! program does.

use super::input::Body;
use super::page::{Listed, Page};
use super::precondition::{IfMatch, Tagged};
use crate::Problem;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::{Extension, Json};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::future::Future;
use utoipa::ToSchema;

/// What one operation takes and answers.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    /// The schema of the body, where it takes one.
    pub(crate) body: Option<Value>,
    /// The schema of the answer, where it is JSON.
    pub(crate) answer: Option<Value>,
    /// Whether a part of a list can be asked for.
    pub(crate) paged: bool,
    /// Whether the answer has an entity tag.
    pub(crate) tagged: bool,
    /// Whether it can be bound to an entity tag.
    pub(crate) conditional: bool,
    /// The schemas that those refer to.
    pub(crate) schemas: BTreeMap<String, Value>,
}

impl Shape {
    /// A reference to the schema of `T`, which is kept with all that it refers to.
    pub(crate) fn refer<T: ToSchema>(&mut self) -> Value {
        let mut found = vec![(T::name().into_owned(), T::schema())];
        T::schemas(&mut found);
        let written = |(name, schema)| (name, serde_json::to_value(schema).unwrap_or_default());
        self.schemas.extend(found.into_iter().map(written));
        json!({ "$ref": format!("#/components/schemas/{}", T::name()) })
    }
}

/// A handler that says what it takes and answers.
pub(crate) trait Operation<Arguments> {
    /// Of this handler.
    fn shape() -> Shape;
}

/// An argument of a handler.
pub(crate) trait Argument {
    /// Adds what the caller sees of it.
    fn describe(_: &mut Shape) {}
}

/// What a handler answers.
pub(crate) trait Answer {
    /// Adds what the caller sees of it.
    fn describe(_: &mut Shape) {}
}

impl<S> Argument for State<S> {}
impl<T> Argument for Extension<T> {}
impl<T> Argument for Path<T> {}
impl Argument for Request {}

impl<T: ToSchema> Argument for Body<T> {
    fn describe(shape: &mut Shape) {
        shape.body = Some(shape.refer::<T>());
    }
}

impl Argument for Page {
    fn describe(shape: &mut Shape) {
        shape.paged = true;
    }
}

impl Argument for IfMatch {
    fn describe(shape: &mut Shape) {
        shape.conditional = true;
    }
}

impl Answer for Response {}

impl<T: ToSchema> Answer for Json<T> {
    fn describe(shape: &mut Shape) {
        shape.answer = Some(shape.refer::<T>());
    }
}

impl<T: ToSchema> Answer for Tagged<T> {
    fn describe(shape: &mut Shape) {
        shape.answer = Some(shape.refer::<T>());
        shape.tagged = true;
    }
}

impl<T: ToSchema> Answer for Listed<T> {
    fn describe(shape: &mut Shape) {
        let items = shape.refer::<T>();
        shape.answer = Some(json!({ "type": "array", "items": items }));
    }
}

impl<T: Answer> Answer for Result<T, Problem> {
    fn describe(shape: &mut Shape) {
        T::describe(shape);
    }
}

macro_rules! operation {
    ($($argument:ident)*) => {
        impl<F, Answered, Answers, $($argument,)*> Operation<($($argument,)*)> for F
        where
            F: Fn($($argument),*) -> Answers,
            Answers: Future<Output = Answered>,
            Answered: Answer,
            $($argument: Argument,)*
        {
            fn shape() -> Shape {
                let mut shape = Shape::default();
                $($argument::describe(&mut shape);)*
                Answered::describe(&mut shape);
                shape
            }
        }
    };
}

operation!();
operation!(A);
operation!(A B);
operation!(A B C);
operation!(A B C D);
operation!(A B C D E);
