//! The API over a store in memory, request by request.
