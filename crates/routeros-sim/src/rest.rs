//! REST over the menu model: from a request's parts to a status and a body (RouterOS manual, REST API).

mod json;
mod reply;
mod route;

use std::sync::Arc;

use crate::device::user::Caller;
use crate::machine::Machine;
use crate::menu::query::Query;
use crate::menu::{Command, Menu, Reply, Row, Trap, Value, Verb};
pub(crate) use reply::Answer;
use route::Route;

/// A request as the wire gave it.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: http::Method,
    /// As sent: `*` and `%2F` are told apart from what they stand for.
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) has_content_type: bool,
    pub(crate) body: bytes::Bytes,
}

/// Whether the command never ends by itself: a monitor that was not asked for one sample.
pub(crate) fn runs_on(request: &Request) -> bool {
    let fields = json::fields(&request.body).unwrap_or_default();
    request.path.ends_with("/monitor-traffic") && !fields.iter().any(|(name, _)| name == "once")
}

/// Answers a request of somebody who has logged in.
pub(crate) async fn answer(machine: &Arc<Machine>, caller: &Caller, request: &Request) -> Answer {
    if !caller.has("api") {
        return Answer::error(500, "std failure: not allowed (9)");
    }
    let served = Served { machine, caller };
    let answered = match route::route(&request.path) {
        Err(answer) => return answer,
        Ok(_) if !request.body.is_empty() && !request.has_content_type => return Answer::plain_error(415),
        Ok(route) => match request.method {
            http::Method::GET => served.get(route, request).await,
            http::Method::PUT => served.put(route, request).await,
            http::Method::PATCH => served.patch(route, request).await,
            http::Method::DELETE => served.delete(route).await,
            http::Method::POST => served.post(route, request).await,
            _ => return Answer::plain_error(405),
        },
    };
    answered.unwrap_or_else(|trap| Answer::trap(&trap))
}

struct Served<'a> {
    machine: &'a Arc<Machine>,
    caller: &'a Caller,
}

impl Served<'_> {
    async fn run(&self, command: &Command) -> Result<Reply, Trap> {
        self.machine.run(self.caller, command).await
    }

    async fn get(&self, route: Route, request: &Request) -> Result<Answer, Trap> {
        let mut command = Command::new(route.menu, Verb::Print);
        let (filters, proplist) = route::filters(request.query.as_deref().unwrap_or_default());
        command.query = Query::equal(filters.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        command.proplist = proplist.map(|mut names| {
            // A list always names its rows.
            names.push(".id".to_owned());
            names
        });
        match route.item {
            Some(item) => {
                let rows = self.rows(&named(&command, &item)).await?;
                Ok(rows.first().map_or_else(|| Answer::plain_error(404), |row| Answer::object(200, row)))
            }
            None if route.menu.is_singleton() => {
                let rows = self.rows(&command).await?;
                Ok(rows.first().map_or_else(|| Answer::plain_error(404), |row| Answer::object(200, row)))
            }
            None => Ok(Answer::list(&self.rows(&command).await?)),
        }
    }

    async fn rows(&self, command: &Command) -> Result<Vec<Row>, Trap> {
        match self.run(command).await? {
            Reply::Rows(rows) => Ok(rows),
            _ => Ok(Vec::new()),
        }
    }

    async fn row(&self, menu: Menu, item: &str) -> Result<Option<Row>, Trap> {
        let rows = self.rows(&named(&Command::new(menu, Verb::Print), item)).await?;
        Ok(rows.into_iter().next())
    }

    async fn put(&self, route: Route, request: &Request) -> Result<Answer, Trap> {
        if route.item.is_some() {
            return Err(Trap::NoSuchCommand);
        }
        let mut command = Command::new(route.menu, Verb::Add);
        command.arguments = json::arguments(&request.body)?;
        let Reply::Ret(id) = self.run(&command).await? else { return Ok(Answer::list(&[])) };
        let row = self.row(route.menu, &id).await.ok().flatten().unwrap_or_default();
        Ok(Answer::object(201, &row).at(format!("{}/{id}", request.path.trim_end_matches('/'))))
    }

    /// PATCH and DELETE hide why they were refused (S, troubleshooting table).
    async fn patch(&self, route: Route, request: &Request) -> Result<Answer, Trap> {
        let Some(item) = route.item else { return Ok(Answer::hidden_reason()) };
        let mut command = Command::new(route.menu, Verb::Set);
        command.targets = vec![item.clone()];
        command.arguments = json::arguments(&request.body)?;
        match self.run(&command).await {
            Ok(_) => {
                let row = self.row(route.menu, &item).await.ok().flatten().unwrap_or_default();
                Ok(Answer::object(200, &row))
            }
            Err(Trap::NoSuchItem) => Ok(Answer::plain_error(404)),
            Err(_) => Ok(Answer::hidden_reason()),
        }
    }

    async fn delete(&self, route: Route) -> Result<Answer, Trap> {
        let Some(item) = route.item else { return Ok(Answer::hidden_reason()) };
        let mut command = Command::new(route.menu, Verb::Remove);
        command.targets = vec![item];
        Ok(match self.run(&command).await {
            Ok(_) => Answer::empty(204),
            Err(Trap::NoSuchItem) => Answer::plain_error(404),
            Err(_) => Answer::hidden_reason(),
        })
    }

    async fn post(&self, route: Route, request: &Request) -> Result<Answer, Trap> {
        let name = route.item.ok_or(Trap::NoSuchCommand)?;
        let command = posted(route.menu, &name, json::fields(&request.body)?)?;
        Ok(match self.run(&command).await? {
            Reply::Rows(rows) => Answer::list(&rows),
            Reply::Ret(ret) => Answer::object(200, &vec![("ret", Value::Owned(ret))]),
            Reply::Done => Answer::list(&[]),
        })
    }
}

/// A print of the row with this id or name.
fn named(command: &Command, item: &str) -> Command {
    let name = match command.menu {
        _ if item.starts_with('*') => ".id",
        Menu::Disk => "slot",
        _ => "name",
    };
    let item = if command.menu == Menu::File { item.trim_matches('/') } else { item };
    Command { query: Query::equal([(name, item)]), ..command.clone() }
}

/// A command by name with the fields of its body.
fn posted(menu: Menu, name: &str, fields: Vec<(String, json::Field)>) -> Result<Command, Trap> {
    let verb = match name {
        "print" => Verb::Print,
        "add" => Verb::Add,
        "set" => Verb::Set,
        "remove" => Verb::Remove,
        other => Verb::Other(other.to_owned()),
    };
    let mut command = Command::new(menu, verb);
    let mut targeted = false;
    for (name, field) in fields {
        match name.as_str() {
            ".query" => command.query = Query::parse(field.words().iter().map(String::as_str))?,
            ".proplist" => command.proplist = Some(field.words()),
            ".id" | "numbers" => {
                command.targets = field.words();
                targeted = true;
            }
            "count-only" => command.count_only = true,
            "once" | "detail" | "without-paging" | "show-sensitive" | "interval" | "duration" => {}
            _ => command.arguments.push((name, field.text()?)),
        }
    }
    let needs_target = !matches!(command.verb, Verb::Print | Verb::Add) && !menu.is_singleton();
    let copies = matches!(&command.verb, Verb::Other(name) if name == "copy");
    if needs_target && !targeted && !copies {
        return Err(Trap::refused("missing value(s) of argument(s) numbers"));
    }
    Ok(command)
}
