//! Commands of RESP: those that decide (`throttle`), and those that clients send to see whom they talk
//! to (`session`).

use std::sync::Arc;

use crate::frame::{self, Words};
use crate::limits::Limits;
use crate::reply::Reply;
use crate::session::{self, Session};
use crate::tables::Tables;
use crate::throttle::{self, decide};
use crate::told::Known;

/// Characters of what a client sent that an error repeats.
pub const MOST_REPEATED: usize = 128;

/// A command was answered, or what is the matter: an error that begins with its code.
pub type Done = Result<(), String>;

type Run = fn(&mut Session, &mut Desk, &Words<'_>, &mut Reply<'_>) -> Done;

/// A command: its name, its arity as Redis tells it (negative: at least so many words), its flag,
/// where its key is.
struct Command {
    name: &'static str,
    arity: i64,
    flag: &'static str,
    key: i64,
    run: Run,
}

const fn command(
    name: &'static str,
    arity: i64,
    flag: &'static str,
    key: i64,
    run: Run,
) -> Command {
    Command {
        name,
        arity,
        flag,
        key,
        run,
    }
}

/// The first are those that come often.
const COMMANDS: [Command; 14] = [
    command("cl.throttle", -5, "write", 1, throttle::throttle),
    command("rp.hit", -3, "write", 1, |_, desk, words, reply| {
        decide(desk, words, reply, Tables::hit)
    }),
    command("rp.peek", -3, "readonly", 1, |_, desk, words, reply| {
        decide(desk, words, reply, Tables::peek)
    }),
    command("rp.reset", 3, "write", 1, throttle::reset),
    command("ping", -1, "fast", 0, session::ping),
    command("echo", 2, "fast", 0, |_, _, words, reply| {
        reply.bulk(&words[1]);
        Ok(())
    }),
    command("hello", -1, "fast", 0, session::hello),
    command("auth", -2, "fast", 0, session::auth),
    command("client", -2, "admin", 0, session::client),
    command("command", -1, "readonly", 0, commands),
    command("info", -1, "readonly", 0, session::info),
    command("select", 2, "fast", 0, session::select),
    command("reset", 1, "fast", 0, |session, _, _, reply| {
        session.forget();
        reply.simple("RESET");
        Ok(())
    }),
    command("quit", -1, "fast", 0, |session, _, _, reply| {
        session.quits = true;
        reply.simple("OK");
        Ok(())
    }),
];

/// All that an event loop decides by.
pub struct Desk {
    pub limits: Arc<Limits>,
    pub known: Known,
    /// It answers what is under way, and then ends.
    pub ends: bool,
}

impl Session {
    /// Answers the command that these bytes begin with, whose `words` are kept there; its length, or `None` where more of it has to come.
    pub fn answer<'a>(
        &mut self,
        bytes: &'a [u8],
        words: &mut Words<'a>,
        desk: &mut Desk,
        out: &mut Vec<u8>,
    ) -> Option<usize> {
        let version = self.version;
        let read = frame::command(bytes, words);
        let mut reply = Reply { out, version };
        match read {
            Ok(Some(length)) => {
                if !words.is_empty() {
                    self.run(desk, words, &mut reply);
                }
                Some(length)
            }
            Ok(None) => None,
            Err(error) => {
                reply.error(&format!("ERR Protocol error: {error}"));
                self.quits = true;
                Some(bytes.len())
            }
        }
    }

    fn run(&mut self, desk: &mut Desk, words: &Words<'_>, reply: &mut Reply<'_>) {
        let named = |each: &&Command| words[0].eq_ignore_ascii_case(each.name.as_bytes());
        let done = match COMMANDS.iter().find(named) {
            Some(found) if !found.takes(words.len()) => Err(format!(
                "ERR wrong number of arguments for '{}' command",
                found.name
            )),
            Some(found) if !self.may_run(found.name, desk) => {
                Err("NOAUTH Authentication required.".to_owned())
            }
            Some(found) => (found.run)(self, desk, words, reply),
            None => {
                // A browser that was made to talk to this port begins like this.
                let web = ["post", "host:"];
                self.quits = web
                    .iter()
                    .any(|web| words[0].eq_ignore_ascii_case(web.as_bytes()));
                let arguments = words[1..]
                    .iter()
                    .map(|word| format!("'{}' ", repeated(word)));
                let arguments: String = arguments.take(MOST_REPEATED / 4).collect();
                let arguments: String = arguments.chars().take(MOST_REPEATED).collect();
                Err(format!(
                    "ERR unknown command '{}', with args beginning with: {arguments}",
                    repeated(&words[0])
                ))
            }
        };
        if let Err(error) = done {
            reply.error(&error);
        }
    }
}

impl Command {
    fn takes(&self, words: usize) -> bool {
        let words = words as i64;
        let most = match self.name {
            "cl.throttle" => 6,
            "rp.hit" | "rp.peek" => 4,
            "ping" => 2,
            _ => i64::MAX,
        };
        words <= most && (words == self.arity || (self.arity < 0 && words >= -self.arity))
    }

    fn tell(&self, reply: &mut Reply<'_>) {
        reply.array(10);
        reply.bulk(self.name.as_bytes());
        reply.integer(self.arity);
        reply.array(1);
        reply.simple(self.flag);
        let place = self.key;
        for number in [place, place, place] {
            reply.integer(number);
        }
        // No categories, tips, specifications of keys, or subcommands.
        for _ in 0..4 {
            reply.array(0);
        }
    }
}

pub fn repeated(word: &[u8]) -> String {
    String::from_utf8_lossy(&word[..word.len().min(MOST_REPEATED)]).into_owned()
}

fn commands(_: &mut Session, _: &mut Desk, words: &Words<'_>, reply: &mut Reply<'_>) -> Done {
    let asked = words.get(1).map(|word| word.to_ascii_lowercase());
    match asked.as_deref() {
        None => tell_all(reply),
        Some(b"info") if words.len() == 2 => tell_all(reply),
        Some(b"info") => {
            reply.array(words.len() - 2);
            for word in &words[2..] {
                let named = |each: &&Command| word.eq_ignore_ascii_case(each.name.as_bytes());
                match COMMANDS.iter().find(named) {
                    Some(found) => found.tell(reply),
                    None => reply.null(),
                }
            }
        }
        Some(b"count") => reply.integer(COMMANDS.len() as i64),
        Some(b"list") => {
            reply.array(COMMANDS.len());
            for each in &COMMANDS {
                reply.bulk(each.name.as_bytes());
            }
        }
        Some(b"docs") => reply.map(0),
        Some(_) => {
            return Err(format!(
                "ERR unknown subcommand '{}'. Try COMMAND HELP.",
                repeated(&words[1])
            ));
        }
    }
    Ok(())
}

fn tell_all(reply: &mut Reply<'_>) {
    reply.array(COMMANDS.len());
    for each in &COMMANDS {
        each.tell(reply);
    }
}
