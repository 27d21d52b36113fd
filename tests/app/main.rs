//! The service over HTTP, on a database that it finds empty: it brings the schema by itself. One
//! file a story; `service` starts it and talks to it.

mod accounts;
mod conversations;
mod onboarding;
mod operations;
mod racing;
mod service;
mod startup;
mod tasks;
mod teaching;
mod tenants;
