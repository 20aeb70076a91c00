//! One client of RESP: what it said of itself, and the commands by which clients see whom they talk to.

use crate::command::{Ask, Desk, Done, MOST_REPEATED, repeated};
use crate::frame::integer;
use crate::routes::same;
use crate::visible::quoted;

/// The version of Redis whose commands and errors these are.
const REDIS: &str = "7.4.0";

/// All that one client said of itself.
pub struct Session {
    id: i64,
    pub version: u8,
    pub name: Vec<u8>,
    /// The token that it told, which settings that are read again may change.
    password: Vec<u8>,
    /// It is to be closed once it was answered.
    pub quits: bool,
}

impl Session {
    /// Puts it back to how it began, without what it told.
    pub fn forget(&mut self) {
        *self = Self::new(self.id);
    }

    pub fn new(id: i64) -> Self {
        Self {
            id,
            version: 2,
            name: Vec::new(),
            password: Vec::new(),
            quits: false,
        }
    }

    /// True if a client may send this command: without the token only those that tell it, or leave.
    pub fn may_run(&self, command: &str, desk: &Desk) -> bool {
        let token = desk.limits.token.as_ref();
        token.is_none_or(|token| {
            ["auth", "hello", "quit"].contains(&command) || same(&self.password, token.as_bytes())
        })
    }

    fn take_name(&mut self, name: &[u8]) -> Result<(), String> {
        if name.len() > MOST_REPEATED || !name.iter().all(u8::is_ascii_graphic) {
            let error = "ERR Client names cannot contain spaces, newlines or special characters.";
            return Err(error.to_owned());
        }
        self.name = name.to_vec();
        Ok(())
    }
}

pub fn ping(ask: &mut Ask<'_, '_>) -> Done {
    match ask.words.get(1) {
        Some(word) => ask.reply.bulk(word),
        None => ask.reply.simple("PONG"),
    }
    Ok(())
}

/// There is one user: the default one, whose password is the token, or anything without one.
fn known(ask: &mut Ask<'_, '_>, user: &[u8], password: &[u8]) -> Done {
    let token = ask.desk.limits.token.as_ref();
    let right = token.is_none_or(|token| same(password, token.as_bytes()));
    if user != b"default" || !right {
        return Err("WRONGPASS invalid username-password pair or user is disabled.".to_owned());
    }
    ask.session.password = token.cloned().unwrap_or_default().into_bytes();
    Ok(())
}

pub fn auth(ask: &mut Ask<'_, '_>) -> Done {
    let words = ask.words;
    match &words[..] {
        [_, user, password] => known(ask, user, password)?,
        [_, password] if ask.desk.limits.token.is_some() => known(ask, b"default", password)?,
        _ => {
            return Err(
                "ERR AUTH <password> called without any password configured for the default user. \
                 Are you sure your configuration is correct?"
                    .to_owned(),
            );
        }
    }
    ask.reply.simple("OK");
    Ok(())
}

pub fn hello(ask: &mut Ask<'_, '_>) -> Done {
    let words = ask.words;
    let version = match words.get(1) {
        None => ask.session.version,
        Some(word) => match integer(word) {
            Some(2) => 2,
            Some(3) => 3,
            found => {
                let error = match found {
                    Some(_) => "NOPROTO unsupported protocol version",
                    None => "ERR Protocol version is not an integer or out of range",
                };
                return Err(format!("{error}: {} (2 or 3)", quoted(word)));
            }
        },
    };
    let (mut name, mut credentials) = (None, None);
    let mut rest = words.get(2..).unwrap_or_default();
    while let [option, after @ ..] = rest {
        rest = match after {
            [told, after @ ..] if option.eq_ignore_ascii_case(b"setname") => {
                name = Some(told);
                after
            }
            [user, password, after @ ..] if option.eq_ignore_ascii_case(b"auth") => {
                credentials = Some((user, password));
                after
            }
            _ => {
                let option = repeated(option);
                return Err(format!("ERR Syntax error in HELLO option '{option}'"));
            }
        };
    }
    if let Some((user, password)) = credentials {
        known(ask, user, password)?;
    }
    let Ask { session, reply, .. } = ask;
    if !session.may_run("", ask.desk) {
        return Err(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO \
             <proto> AUTH <user> <pass> option can be used to authenticate the client and select the \
             RESP protocol version at the same time"
                .to_owned(),
        );
    }
    if let Some(name) = name {
        session.take_name(name)?;
    }
    session.version = version;
    reply.version = version;
    reply.map(7);
    for (name, text) in [
        ("server", "rateproof"),
        ("version", REDIS),
        ("mode", "standalone"),
        ("role", "master"),
    ] {
        reply.bulk(name.as_bytes());
        reply.bulk(text.as_bytes());
    }
    for (name, number) in [("proto", i64::from(version)), ("id", session.id)] {
        reply.bulk(name.as_bytes());
        reply.integer(number);
    }
    reply.bulk(b"modules");
    reply.array(0);
    Ok(())
}

pub fn client(ask: &mut Ask<'_, '_>) -> Done {
    let (words, reply) = (ask.words, &mut ask.reply);
    let session = &mut *ask.session;
    let asked = words[1].to_ascii_lowercase();
    match (&asked[..], &words[2..]) {
        (b"id", []) => reply.integer(session.id),
        (b"getname", []) if session.name.is_empty() => reply.null(),
        (b"getname", []) => reply.bulk(&session.name),
        (b"setname", [name]) => {
            session.take_name(name)?;
            reply.simple("OK");
        }
        (b"setinfo", [_, _]) | (b"no-evict" | b"no-touch", [_]) => reply.simple("OK"),
        (b"info", []) => reply.text(&format!(
            "id={} name={} db=0 resp={}\n",
            session.id,
            String::from_utf8_lossy(&session.name),
            session.version
        )),
        _ => {
            return Err(format!(
                "ERR unknown subcommand or wrong number of arguments for '{}'. Try CLIENT HELP.",
                repeated(&words[1])
            ));
        }
    }
    Ok(())
}

pub fn info(ask: &mut Ask<'_, '_>) -> Done {
    ask.reply.text(&format!(
        "# Server\r\nredis_version:{REDIS}\r\nserver_name:rateproof\r\nredis_mode:standalone\r\nprocess_id:{}\r\n\
         \r\n# Persistence\r\nloading:0\r\n\r\n# Replication\r\nrole:master\r\n\r\n# Rateproof\r\nlimits:{}\r\n",
        std::process::id(),
        ask.desk.limits.by_name.len(),
    ));
    Ok(())
}

pub fn select(ask: &mut Ask<'_, '_>) -> Done {
    let word = &ask.words[1];
    let error = match integer(word) {
        Some(0) => {
            ask.reply.simple("OK");
            return Ok(());
        }
        Some(_) => "ERR DB index is out of range",
        None => "ERR value is not an integer or out of range",
    };
    Err(format!("{error}: {} (0)", quoted(word)))
}
