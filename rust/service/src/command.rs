//! Commands of RESP: those that decide (`throttle`), and those that clients send to see whom they talk
//! to (`session`).

use std::sync::Arc;

use crate::answer::Ending;
use crate::connection::MOST_ANSWERED;
use crate::frame::{self, Words};
use crate::limits::Limits;
use crate::metrics::Page;
use crate::reply::Reply;
use crate::session::{self, Session};
use crate::tables::Tables;
use crate::throttle::{self, decide};
use crate::told::Known;

/// Characters of what a client sent that an error repeats.
pub const MOST_REPEATED: usize = 128;

/// A command was answered, or what is the matter: an error that begins with its code.
pub type Done = Result<(), String>;

type Run = fn(&mut Ask<'_, '_>) -> Done;

/// A command of a client, and all that it takes to answer it.
pub struct Ask<'a, 'w> {
    pub session: &'a mut Session,
    pub desk: &'a mut Desk,
    pub words: &'a Words<'w>,
    pub reply: Reply<'a>,
}

/// A command: its name, its arity as Redis tells it (negative: at least so many words), its flag,
/// where its key is.
struct Command(&'static str, i64, &'static str, i64, Run);

/// The first are those that come often.
static COMMANDS: [Command; 14] = [
    Command("cl.throttle", -5, "write", 1, throttle::throttle),
    Command("rp.hit", -3, "write", 1, |ask| decide(ask, Tables::hit)),
    Command("rp.peek", -3, "readonly", 1, |ask| {
        decide(ask, Tables::peek)
    }),
    Command("rp.reset", 3, "write", 1, throttle::reset),
    Command("ping", -1, "fast", 0, session::ping),
    Command("echo", 2, "fast", 0, |ask| {
        ask.reply.bulk(&ask.words[1]);
        Ok(())
    }),
    Command("hello", -1, "fast", 0, session::hello),
    Command("auth", -2, "fast", 0, session::auth),
    Command("client", -2, "admin", 0, session::client),
    Command("command", -1, "readonly", 0, commands),
    Command("info", -1, "readonly", 0, session::info),
    Command("select", 2, "fast", 0, session::select),
    Command("reset", 1, "fast", 0, |ask| {
        ask.session.forget();
        ask.reply.simple("RESET");
        Ok(())
    }),
    Command("quit", -1, "fast", 0, |ask| {
        ask.session.quits = true;
        ask.reply.simple("OK");
        Ok(())
    }),
];

/// All that an event loop decides by.
pub struct Desk {
    pub limits: Arc<Limits>,
    pub known: Known,
    /// It answers what is under way, and then ends.
    pub ends: bool,
    /// Bytes of answers in this turn of a client; a look at all tables counts as a whole turn.
    pub spent: usize,
    /// Figures that a client asked for.
    pub page: Option<(Page, Ending)>,
    /// A client waits for what no event will tell of.
    pub waits: bool,
}

impl Desk {
    pub fn new(limits: Arc<Limits>, known: Known) -> Self {
        Self {
            limits,
            known,
            ends: false,
            spent: 0,
            page: None,
            waits: false,
        }
    }

    /// True if whoever asked last waits for the store.
    pub fn has_to_wait(&mut self) -> bool {
        let waits = std::mem::take(&mut self.known.waits);
        self.waits |= waits;
        waits
    }

    /// True if it serves, and every table can be used.
    pub fn can_decide(&mut self) -> bool {
        self.spent += MOST_ANSWERED;
        !self.ends && self.limits.can_decide()
    }
}

impl Session {
    /// Answers the command that these bytes begin with, whose `words` are kept there; its length, or `None`
    /// where more of it has to come, or it waits for the store.
    pub fn answer<'a>(
        &mut self,
        bytes: &'a [u8],
        words: &mut Words<'a>,
        desk: &mut Desk,
        out: &mut Vec<u8>,
    ) -> Option<usize> {
        let read = frame::command(bytes, words);
        let version = self.version;
        let mut reply = Reply { out, version };
        match read {
            Ok(Some(length)) => {
                if !words.is_empty() {
                    let session = self;
                    Ask {
                        session,
                        desk,
                        words,
                        reply,
                    }
                    .run();
                    if desk.known.waits {
                        return None;
                    }
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
}

impl Ask<'_, '_> {
    fn run(&mut self) {
        let words = self.words;
        let word = &words[0];
        let done = match Command::of(word) {
            Some(found) if !found.takes(words.len()) => Err(format!(
                "ERR wrong number of arguments for '{}' command",
                found.0
            )),
            Some(found) if !self.session.may_run(found.0, self.desk) => {
                Err("NOAUTH Authentication required.".to_owned())
            }
            Some(Command(.., run)) => run(self),
            None => {
                // A browser that was made to talk to this port begins like this.
                let web = [&b"post"[..], b"host:"];
                self.session.quits = web.iter().any(|web| word.eq_ignore_ascii_case(web));
                let arguments = words[1..].iter();
                let arguments = arguments.map(|word| format!("'{}' ", repeated(word)));
                let arguments: String = arguments.take(MOST_REPEATED / 4).collect();
                let arguments: String = arguments.chars().take(MOST_REPEATED).collect();
                Err(format!(
                    "ERR unknown command '{}', with args beginning with: {arguments}",
                    repeated(word)
                ))
            }
        };
        if let Err(error) = done
            && !self.desk.known.waits
        {
            self.reply.error(&error);
        }
    }
}

impl Command {
    fn of(word: &[u8]) -> Option<&'static Self> {
        let named = |each: &&Self| word.eq_ignore_ascii_case(each.0.as_bytes());
        COMMANDS.iter().find(named)
    }

    fn takes(&self, words: usize) -> bool {
        let (words, arity) = (words as i64, self.1);
        let most = match self.0 {
            "cl.throttle" => 6,
            "rp.hit" | "rp.peek" => 4,
            "ping" => 2,
            _ => i64::MAX,
        };
        words <= most && (words == arity || (arity < 0 && words >= -arity))
    }

    fn tell(&self, reply: &mut Reply<'_>) {
        let Self(name, arity, flag, place, _) = *self;
        reply.array(10);
        reply.bulk(name.as_bytes());
        reply.integer(arity);
        reply.array(1);
        reply.simple(flag);
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

fn commands(ask: &mut Ask<'_, '_>) -> Done {
    let Ask { words, reply, .. } = ask;
    let asked = words.get(1).map(|word| word.to_ascii_lowercase());
    match asked.as_deref() {
        None => tell_all(reply),
        Some(b"info") if words.len() == 2 => tell_all(reply),
        Some(b"info") => {
            reply.array(words.len() - 2);
            for word in &words[2..] {
                match Command::of(word) {
                    Some(found) => found.tell(reply),
                    None => reply.null(),
                }
            }
        }
        Some(b"count") => reply.integer(COMMANDS.len() as i64),
        Some(b"list") => {
            reply.array(COMMANDS.len());
            for each in &COMMANDS {
                reply.bulk(each.0.as_bytes());
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
