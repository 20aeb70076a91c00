//! The command line, whose options win over the file of settings.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::settings::Settings;

const USAGE: &str = "usage: rateproof-service [--config FILE] [--OPTION VALUE ...]";

/// All that was said on the command line.
pub struct Arguments {
    pub config: PathBuf,
    pub json: bool,
    told: Vec<(String, String)>,
    /// A socket for rules was handed over.
    rls_handed: bool,
}

impl Arguments {
    /// Reads the words.
    ///
    /// # Errors
    /// A word that is no option, has no value, or is no text.
    pub fn read(
        mut words: impl Iterator<Item = OsString>,
        rls_handed: bool,
    ) -> Result<Self, String> {
        let mut found = Self {
            config: PathBuf::from("rateproof.toml"),
            json: false,
            told: Vec::new(),
            rls_handed,
        };
        let text = |word: OsString, before: &str| {
            let told = word.into_string();
            told.map_err(|word| format!("{before}{word:?} is not UTF-8\n{USAGE}"))
        };
        while let Some(word) = words.next() {
            let word = text(word, "")?;
            let Some(name) = word.strip_prefix("--") else {
                return Err(format!("{word:?} is no option\n{USAGE}"));
            };
            let value = words
                .next()
                .ok_or_else(|| format!("{word} needs a value\n{USAGE}"))?;
            match name {
                "config" => found.config = value.into(),
                "json" => found.json = value == "true",
                name => {
                    let value = text(value, &format!("{word}: "))?;
                    found.told.push((name.replace('-', "_"), value));
                }
            }
        }
        Ok(found)
    }

    /// The settings of the file, under what was said here.
    ///
    /// # Errors
    /// The mistake, with its line.
    pub fn settings(&self) -> Result<Settings, String> {
        let mut settings = Settings::read(&self.config)?;
        for (name, text) in &self.told {
            let named = |error| format!("--{}: {error}", name.replace('_', "-"));
            settings.tell(name, text).map_err(named)?;
            settings.lines.remove(name);
        }
        settings.whole(&self.config, self.rls_handed)
    }
}
