//! The document of the API, made of the handlers and their types.

use super::cluster::Nothing;
use super::extract::Query;
use super::refused::Refused;
use super::{cluster, collect, dashboard, health, metric, node, process, status, system};
use crate::serve::http::envelope::Failure;
use axum::Json;
use utoipa::OpenApi;
use utoipa::openapi::OpenApi as Document;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "Quorate", description = "What the aggregator knows of nodes and clusters"),
    paths(
        status::about,
        health::get,
        status::get,
        get,
        system::overview,
        system::health,
        metric::history,
        process::list,
        metric::latest,
        collect::collect,
        dashboard::overview,
        dashboard::summary,
        node::list,
        node::get,
        cluster::list,
    )
)]
struct Rest;

/// The document of these paths. Those of other APIs are merged into it by [`Document::merge`].
pub fn document() -> Document {
    Rest::openapi()
}

/// The document itself.
#[utoipa::path(get, path = "/api/openapi.json", tag = "openapi",
    responses((status = 200, body = Object, content_type = "application/json"), Refused))]
pub async fn get(Query(Nothing {}): Query<Nothing>) -> Result<Json<Document>, Failure> {
    Ok(Json(document()))
}
