//! Paths and who answers them, remembered so that the document can be compared with them.

use super::Rest;
use crate::serve::http::envelope::{Failure, FailureKind};
use axum::Router;
use axum::handler::Handler;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};

/// Routes as they are put together.
#[derive(Default)]
pub struct Routes {
    router: Router<Rest>,
    #[cfg(test)]
    paths: Vec<(&'static str, &'static str)>,
}

impl Routes {
    /// A path that is read.
    #[must_use]
    pub fn get<H: Handler<T, Rest>, T: 'static>(self, path: &'static str, handler: H) -> Routes {
        self.on(MethodFilter::GET, path, handler).told("get", path)
    }

    /// A path that something is done at.
    #[must_use]
    pub fn post<H: Handler<T, Rest>, T: 'static>(self, path: &'static str, handler: H) -> Routes {
        self.on(MethodFilter::POST, path, handler).told("post", path)
    }

    fn on<H: Handler<T, Rest>, T: 'static>(
        mut self,
        method: MethodFilter,
        path: &'static str,
        handler: H,
    ) -> Routes {
        self.router = self.router.route(path, on(method, handler));
        self
    }

    #[cfg(test)]
    fn told(mut self, method: &'static str, path: &'static str) -> Routes {
        self.paths.push((method, path));
        self
    }

    #[cfg(not(test))]
    fn told(self, _: &'static str, _: &'static str) -> Routes {
        self
    }

    /// Methods and paths.
    #[cfg(test)]
    pub fn paths(&self) -> &[(&'static str, &'static str)] {
        &self.paths
    }

    /// The router, without answers to what it has not.
    pub fn router(self, rest: Rest) -> Router {
        self.router.with_state(rest)
    }
}

/// Gives a router, when all are merged, its answers to unknown paths and wrong methods: in the envelope, with `Allow`.
pub fn close(router: Router) -> Router {
    router.fallback(unknown).method_not_allowed_fallback(wrong_method)
}

async fn unknown(uri: Uri) -> Failure {
    let path: String = uri.path().chars().take(200).collect();
    Failure::new(FailureKind::NotFound, format!("there is no `{path}`"))
}

/// Whoever asks for the options is told them; axum adds `Allow`.
async fn wrong_method(method: Method) -> Response {
    if method == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    let failure = Failure::bad(format!("method {method} is not for this path"));
    (StatusCode::METHOD_NOT_ALLOWED, axum::Json(failure)).into_response()
}
