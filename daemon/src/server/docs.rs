//! The OpenAPI 3.1 document, generated from the handlers, and its viewer, served from inside the binary.
//! What holds for every route (bearer token, problem answers) is added here once.

use utoipa::OpenApi;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{KnownFormat, SchemaFormat, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Content, ObjectBuilder, OpenApi as Document, Ref, RefOr, Required, ResponseBuilder};
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::problem::ProblemBody;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Nacre",
        description = "Exact Bitcoin books over REST. Every error is application/problem+json with a stable code."
    ),
    components(schemas(ProblemBody)),
    security(("bearer" = []))
)]
struct Base;

/// The document before any route is added.
pub(crate) fn base() -> Document {
    let mut document = Base::openapi();
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    document.components.get_or_insert_default().add_security_scheme("bearer", bearer);
    document
}

/// Adds to every operation what every operation may answer.
pub(crate) fn complete(mut document: Document) -> Document {
    for (path, item) in &mut document.paths.paths {
        let operations = [
            &mut item.get,
            &mut item.put,
            &mut item.post,
            &mut item.delete,
            &mut item.patch,
            &mut item.head,
            &mut item.options,
        ];
        for operation in operations.into_iter().flatten() {
            add_problem(operation);
            add_path_parameters(path, operation);
        }
    }
    document
}

fn add_problem(operation: &mut Operation) {
    let content = Content::new(Some(Ref::from_schema_name("ProblemBody")));
    let response = ResponseBuilder::new()
        .description("A problem; `code` says which, see docs/errors.md")
        .content("application/problem+json", content)
        .build();
    operation.responses.responses.insert("default".to_owned(), RefOr::T(response));
}

/// Declares the parameters a path names; all of them are required text, ids as UUIDs.
fn add_path_parameters(path: &str, operation: &mut Operation) {
    let names = path.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name);
    let declared = operation.parameters.get_or_insert_default();
    for name in names {
        let known = |p: &RefOr<Parameter>| matches!(p, RefOr::T(p) if p.name == name);
        if declared.iter().any(known) {
            continue;
        }
        let schema = ObjectBuilder::new().schema_type(Type::String);
        let format = SchemaFormat::KnownFormat(KnownFormat::Uuid);
        let schema =
            if matches!(name, "w" | "p" | "c" | "id") { schema.format(Some(format)) } else { schema };
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .schema(Some(schema))
            .build();
        declared.push(RefOr::T(parameter));
    }
}

/// `/docs` with the viewer, reading `/openapi.json`.
pub(crate) fn viewer() -> SwaggerUi {
    SwaggerUi::new("/docs").config(Config::new(["/openapi.json"]))
}
