//! `TrainConfig`: the validated whole of what a TOML file, a preset and flags resolve to. A checkpoint
//! carries it.

use serde::{Deserialize, Serialize};
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use vae_data::{Pixels, Scale, SourceSettings};
use vae_model::config::Section;
use vae_model::posterior::PosteriorConfig;
use vae_model::{ConfigError, ObjectiveConfig, VaeConfig};

use crate::error::TrainError;
use crate::optimizer::OptimizerConfig;
use crate::sampler;
use crate::schedule::ScheduleConfig;

/// Everything that decides what is trained, on what, and how.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TrainConfig {
    /// The model: one choice on each axis.
    pub model: VaeConfig,
    /// What is minimized.
    pub objective: ObjectiveConfig,
    /// What is learned from.
    pub data: DataConfig,
    /// How learning runs.
    pub train: LoopConfig,
}

/// The `[data]` table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// A set's name, a path, or `images,labels`; see `vae-cli data list`.
    pub source: String,
    /// How bytes become x.
    pub pixels: Pixels,
    /// How the numbers of vectors become x.
    pub scale: Scale,
    /// Standard deviation of normal noise on what the encoder sees in training, in the units of x; what
    /// is explained stays clean (denoising; Vincent et al. 2008, Im et al. 2017).
    pub noise: f64,
    /// Share of the numbers of x that the encoder sees as 0 in training; what is explained stays whole.
    pub mask: f64,
    /// How many training examples are held out to validate on; 0 for none.
    pub validation: usize,
    /// Only the first so many training examples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Height and width that the pictures of a folder are brought to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<(usize, usize)>,
    /// Channels that the pictures of a folder are brought to: 1 or 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<usize>,
    /// Whether the first line of a table names its columns; left out, a line with a cell that is not a
    /// number does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<bool>,
    /// The columns of a table that x is made of, in this order; left out, all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<String>>,
    /// Columns of a table that x leaves out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub drop_columns: Vec<String>,
    /// The column of a table that identifies its rows; it is carried to outputs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_column: Option<String>,
    /// The column of a table that holds the classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_column: Option<String>,
}

impl DataConfig {
    /// Returns the settings that sources read.
    pub fn source_settings(&self) -> SourceSettings {
        SourceSettings {
            size: self.size,
            channels: self.channels,
            header: self.header,
            columns: self.columns.clone(),
            drop_columns: self.drop_columns.clone(),
            id_column: self.id_column.clone(),
            label_column: self.label_column.clone(),
            may_lack_id_and_label: false,
        }
    }
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            source: "auto".to_owned(),
            pixels: Pixels::Grey,
            scale: Scale::None,
            noise: 0.0,
            mask: 0.0,
            validation: 0,
            limit: None,
            size: None,
            channels: None,
            header: None,
            columns: None,
            drop_columns: Vec::new(),
            id_column: None,
            label_column: None,
        }
    }
}

/// The `[train]` table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LoopConfig {
    /// Passes over the training data, in all.
    pub epochs: u64,
    /// Steps in all, if that comes first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_steps: Option<u64>,
    /// Examples a step.
    pub batch_size: usize,
    /// Copies of the model that share each batch, working at the same time; 0 chooses what suits the
    /// machine, and a run then keeps that number. Results depend on it by rounding only.
    pub replicas: usize,
    /// Seed of everything random.
    pub seed: u64,
    /// Largest joint norm of the gradients; 0 for no clipping.
    pub clip_norm: f64,
    /// Epochs without a better validation loss after which training stops; 0 for never.
    pub patience: u64,
    /// Steps between two looks at the loss: it is read back, logged, and checked to be a number.
    pub log_every: u64,
    /// Epochs between two checkpoints.
    pub checkpoint_every: u64,
    /// Epochs between two sheets of samples and reconstructions; 0 for none.
    pub sheet_every: u64,
    /// The optimizer.
    pub optimizer: OptimizerConfig,
    /// The optimizer of the critic, where the objective has one; left out, one like the model's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub critic_optimizer: Option<OptimizerConfig>,
    /// How the learning rate changes.
    pub schedule: ScheduleConfig,
}

impl Default for LoopConfig {
    fn default() -> Self {
        Self {
            epochs: 20,
            max_steps: None,
            batch_size: 128,
            replicas: 0,
            seed: 0,
            clip_norm: 0.0,
            patience: 0,
            log_every: 50,
            checkpoint_every: 1,
            sheet_every: 1,
            optimizer: OptimizerConfig::default(),
            critic_optimizer: None,
            schedule: ScheduleConfig::default(),
        }
    }
}

/// More replicas than this are a slip of the keyboard.
const MAX_REPLICAS: usize = 256;

impl LoopConfig {
    fn read(section: Option<Section<'_>>) -> Result<Self, ConfigError> {
        let default = Self::default();
        let Some(mut s) = section else { return Ok(default) };
        let config = Self {
            epochs: s.value("epochs")?.unwrap_or(default.epochs),
            max_steps: s.value("max_steps")?,
            batch_size: s.value("batch_size")?.unwrap_or(default.batch_size),
            replicas: s.value("replicas")?.unwrap_or(default.replicas),
            seed: s.value("seed")?.unwrap_or(default.seed),
            clip_norm: s.value("clip_norm")?.unwrap_or(default.clip_norm),
            patience: s.value("patience")?.unwrap_or(default.patience),
            log_every: s.value("log_every")?.unwrap_or(default.log_every),
            checkpoint_every: s.value("checkpoint_every")?.unwrap_or(default.checkpoint_every),
            sheet_every: s.value("sheet_every")?.unwrap_or(default.sheet_every),
            optimizer: s.choice("optimizer")?,
            critic_optimizer: s.optional_choice("critic_optimizer")?,
            schedule: s.choice("schedule")?,
        };
        s.finish()?;
        Ok(config)
    }

    fn validate(&self) -> Result<(), ConfigError> {
        for (name, value) in [
            ("epochs", self.epochs),
            ("batch_size", self.batch_size as u64),
            ("log_every", self.log_every),
            ("checkpoint_every", self.checkpoint_every),
            ("max_steps", self.max_steps.unwrap_or(1)),
        ] {
            if value == 0 {
                return Err(ConfigError::new(format!("train.{name}"), "must be at least 1"));
            }
        }
        if self.epochs > 10_000_000 {
            let why = format!("must be at most 10000000, not {}", self.epochs);
            return Err(ConfigError::new("train.epochs", why));
        }
        if self.replicas > MAX_REPLICAS {
            let why = format!("must be at most {MAX_REPLICAS}, not {}", self.replicas);
            return Err(ConfigError::new("train.replicas", why));
        }
        // TOML has no unsigned numbers of 64 bits.
        if i64::try_from(self.seed).is_err() {
            let why = format!("must be below 2^63, not {}", self.seed);
            return Err(ConfigError::new("train.seed", why));
        }
        if !(self.clip_norm.is_finite() && self.clip_norm >= 0.0) {
            let why = format!("must be 0 or a positive number, not {}", self.clip_norm);
            return Err(ConfigError::new("train.clip_norm", why));
        }
        self.optimizer.validate("train.optimizer")?;
        self.schedule.validate("train.schedule", self.optimizer.learning_rate())?;
        match &self.critic_optimizer {
            Some(optimizer) => {
                optimizer.validate("train.critic_optimizer")?;
                self.schedule.validate("train.schedule", optimizer.learning_rate())
            }
            None => Ok(()),
        }
    }

    /// The optimizer of the critic.
    pub fn critic_optimizer(&self) -> &OptimizerConfig {
        self.critic_optimizer.as_ref().unwrap_or(&self.optimizer)
    }
}

/// A value from the command line that stands above the one in the text: a key's path and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Override {
    /// Dotted, such as `model.latent`.
    pub key: String,
    /// As TOML writes it; what is no TOML is a string.
    pub value: String,
    /// The flag that it came from, for error messages.
    pub flag: String,
}

impl Override {
    /// The override of a flag such as `--epochs`.
    pub fn flag(flag: &str, key: &str, value: impl std::fmt::Display) -> Self {
        let flag = format!("{flag} {value}");
        Self { key: key.to_owned(), value: value.to_string(), flag }
    }

    /// The override of a flag whose value is a text, whatever it looks like.
    pub fn text(flag: &str, key: &str, value: &str) -> Self {
        let quoted = toml::Value::String(value.to_owned()).to_string();
        Self { key: key.to_owned(), value: quoted, flag: format!("{flag} {value}") }
    }

    /// From the argument of `--set`: `key.path=value`.
    ///
    /// # Errors
    /// If there is no `=` or no key.
    pub fn set(argument: &str) -> Result<Self, TrainError> {
        match argument.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => Ok(Self {
                key: key.trim().to_owned(),
                value: value.trim().to_owned(),
                flag: format!("--set {argument}"),
            }),
            _ => Err(TrainError::Request(format!(
                "--set {argument}: expected KEY.PATH=VALUE, such as --set model.latent=10"
            ))),
        }
    }
}

impl TrainConfig {
    /// Reads a configuration from TOML `text`, called `name` in errors, with values from the command
    /// line above it.
    ///
    /// # Errors
    /// For an unknown key, a wrong type or an impossible value, with its line and what is valid there.
    pub fn from_toml(name: &str, text: &str, overrides: &[Override]) -> Result<Self, TrainError> {
        // A value from the command line is given a place beyond the text, which tells it apart.
        let place = |error: &ConfigError| match error.span.as_ref().map(|span| span.start) {
            Some(start) if start > text.len() => overrides
                .get(start - text.len() - 1)
                .map_or_else(|| name.to_owned(), |o| o.flag.clone()),
            Some(start) => {
                let line = text[..start.min(text.len())].matches('\n').count() + 1;
                format!("{name}:{line}")
            }
            None => name.to_owned(),
        };
        Self::read(text, overrides)
            .map_err(|error| TrainError::Config { place: place(&error), error })
    }

    fn read(text: &str, overrides: &[Override]) -> Result<Self, ConfigError> {
        let values: Vec<String> = overrides.iter().map(|o| format!("v = {}", o.value)).collect();
        let mut table = DeTable::parse(text).map_err(|e| ConfigError {
            key: String::new(),
            message: e.message().to_owned(),
            span: e.span(),
        })?;
        // Kinds first: another kind clears the settings of the old one, not those that come with it.
        let mut order: Vec<usize> = (0..overrides.len()).collect();
        order.sort_by_key(|i| !overrides[*i].key.ends_with(".kind"));
        for i in order {
            let (o, value) = (&overrides[i], &values[i]);
            let at = text.len() + 1 + i;
            let parsed = DeTable::parse(value).ok().and_then(|t| {
                let table = t.into_inner();
                // More than one key means that the value held a line break and more.
                if table.len() == 1 { table.into_iter().next() } else { None }
            });
            let value = match parsed {
                Some((_, value)) => value.into_inner(),
                None => DeValue::String(o.value.as_str().into()),
            };
            put(&mut table, &o.key, value, at)?;
        }
        let mut document = Section::new("", table);
        let mut config = Self {
            model: VaeConfig::read(document.section("model")?)?,
            objective: document.choice("objective")?,
            data: match document.section("data")? {
                Some(section) => section.rest()?,
                None => DataConfig::default(),
            },
            train: LoopConfig::read(document.section("train")?)?,
        };
        document.finish()?;
        config.validate().map_err(|error| with_span(error, text, overrides))?;
        if config.objective.critic_steps() == 0 {
            // Another objective than the text's may have been chosen above it: what is not used is not kept.
            config.train.critic_optimizer = None;
        }
        // 1 and 1.0 and the like are the same; the resolved text writes them one way.
        config.data.source = config.data.source.trim().to_owned();
        Ok(config)
    }

    /// Checks every value, and the axes against each other.
    ///
    /// # Errors
    /// For the first impossible value or combination.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.model.validate()?;
        self.objective.validate("objective", &self.model)?;
        self.train.validate()?;
        if self.data.channels.is_some_and(|c| c != 1 && c != 3) {
            return Err(ConfigError::new("data.channels", "must be 1 (grey) or 3 (colour)"));
        }
        if self.data.size.is_some_and(|(h, w)| !(1..=1024).contains(&h) || !(1..=1024).contains(&w))
        {
            return Err(ConfigError::new("data.size", "height and width must be 1 to 1024"));
        }
        if !(self.data.noise.is_finite() && self.data.noise >= 0.0) {
            let why = format!("must be 0 or a positive number, not {}", self.data.noise);
            return Err(ConfigError::new("data.noise", why));
        }
        if !(0.0..1.0).contains(&self.data.mask) {
            let why = format!("must be at least 0 and below 1, not {}", self.data.mask);
            return Err(ConfigError::new("data.mask", why));
        }
        let two_tone = matches!(self.data.pixels, Pixels::Binary | Pixels::Stochastic);
        if two_tone && self.objective.compares_images() {
            let why = "a critic on x would tell the decoder's grey means from black and white by \
                       that alone: use pixels = \"grey\"";
            return Err(ConfigError::new("data.pixels", why));
        }
        if two_tone && self.model.likelihood.needs_grey() {
            let why = "this likelihood is one of pixels of many levels, and these are black or \
                       white: use pixels = \"grey\", or a bernoulli likelihood";
            return Err(ConfigError::new("data.pixels", why));
        }
        let fitted = !self.objective.trains_prior(&self.model);
        let discrete = matches!(self.model.posterior, PosteriorConfig::Vq(_));
        if fitted && !discrete && self.model.latent > sampler::MOST_DIMENSIONS {
            let why = format!(
                "a prior is fitted on the codes of this model when training ends, in at most {} \
                 dimensions: use fewer, a gaussian posterior, or objective.kind = \"mmd\"",
                sampler::MOST_DIMENSIONS
            );
            return Err(ConfigError::new("model.latent", why));
        }
        if self.data.limit == Some(0) {
            return Err(ConfigError::new("data.limit", "must be at least 1"));
        }
        if self.train.replicas > 1 && self.objective.couples_images(&self.model) {
            let why = "this objective looks at the images of a batch together, which needs one \
                       replica: leave replicas out or set it to 1";
            return Err(ConfigError::new("train.replicas", why));
        }
        let (low, high) = self.model.likelihood.range();
        if self.data.pixels == Pixels::Signed && low > -1.0 {
            let why = format!(
                "signed pixels lie in [-1, 1] but this likelihood's mean in [{low}, {high}]: \
                 use a gaussian likelihood with output = \"tanh\" or \"identity\", or other pixels"
            );
            return Err(ConfigError::new("data.pixels", why));
        }
        if self.train.patience > 0 && self.data.validation == 0 {
            let why = "early stopping needs a validation split: set data.validation too";
            return Err(ConfigError::new("train.patience", why));
        }
        Ok(())
    }

    /// The whole configuration as TOML: every value, none left to a default.
    pub fn to_toml(&self) -> String {
        // Every field is a plain value or a table, after plain values; that always serializes.
        toml::to_string(self).unwrap_or_default()
    }

    /// Whether a run with this configuration may go on with `new`: totals may grow, logging may
    /// change, and a number of replicas that is left open stays the run's; nothing else.
    ///
    /// # Errors
    /// Naming the first key that differs.
    pub fn may_resume_with(&self, new: &Self) -> Result<(), TrainError> {
        let mut comparable = new.clone();
        comparable.train.epochs = self.train.epochs;
        comparable.train.max_steps = self.train.max_steps;
        comparable.train.log_every = self.train.log_every;
        comparable.train.checkpoint_every = self.train.checkpoint_every;
        comparable.train.sheet_every = self.train.sheet_every;
        if new.train.replicas == 0 {
            comparable.train.replicas = self.train.replicas;
        }
        let (old, new) = (self.to_toml(), comparable.to_toml());
        match difference(&old, &new) {
            None => Ok(()),
            Some((key, was, is)) => Err(TrainError::Request(format!(
                "cannot resume with a changed configuration: {key} is {is} but the run has {was}; \
                 only epochs, max_steps and logging may change (train anew with another --out)"
            ))),
        }
    }
}

/// The first key at which two configurations differ, with its values.
fn difference(old: &str, new: &str) -> Option<(String, String, String)> {
    fn walk(
        path: &str,
        old: Option<&toml::Value>,
        new: Option<&toml::Value>,
    ) -> Option<(String, String, String)> {
        if let (Some(toml::Value::Table(old)), Some(toml::Value::Table(new))) = (old, new) {
            let keys = old.keys().chain(new.keys().filter(|k| !old.contains_key(*k)));
            let join = |key: &str| {
                if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
            };
            return keys.into_iter().find_map(|k| walk(&join(k), old.get(k), new.get(k)));
        }
        let text = |v: Option<&toml::Value>| v.map_or("unset".to_owned(), ToString::to_string);
        (old != new).then(|| (path.to_owned(), text(old), text(new)))
    }
    let parse = |text: &str| text.parse::<toml::Table>().ok().map(toml::Value::Table);
    walk("", parse(old).as_ref(), parse(new).as_ref())
}

/// Puts `value` at the dotted `key`, making tables on the way.
fn put<'a>(
    table: &mut Spanned<DeTable<'a>>,
    key: &'a str,
    value: DeValue<'a>,
    at: usize,
) -> Result<(), ConfigError> {
    let mut table = table.get_mut();
    let (parents, leaf) = match key.rsplit_once('.') {
        Some((parents, leaf)) => (parents.split('.').collect(), leaf),
        None => (Vec::new(), key),
    };
    for parent in parents {
        let entry = table
            .entry(Spanned::new(at..at, parent.into()))
            .or_insert_with(|| Spanned::new(at..at, DeValue::Table(DeTable::new())));
        table = match entry.get_mut() {
            DeValue::Table(table) => table,
            _ => {
                let message = format!("`{parent}` is a value, not a table");
                return Err(ConfigError { key: key.to_owned(), message, span: Some(at..at) });
            }
        };
    }
    // Another kind has other settings: those of the old one make no sense for it.
    let old_kind = table.get(leaf).map(Spanned::get_ref).and_then(DeValue::as_str);
    let is_new_kind = leaf == "kind" && old_kind.is_some_and(|old| Some(old) != value.as_str());
    if is_new_kind {
        table.clear();
    }
    // Removed first, since inserting over an entry would keep the place of the old key.
    table.remove(leaf);
    table.insert(Spanned::new(at..at, leaf.into()), Spanned::new(at..at, value));
    Ok(())
}

/// Gives an error about an impossible value the place of its key, where the text or a flag sets it.
fn with_span(mut error: ConfigError, text: &str, overrides: &[Override]) -> ConfigError {
    let by_flag = overrides.iter().rposition(|o| o.key == error.key);
    error.span = by_flag.map(|i| text.len() + 1 + i..text.len() + 1 + i).or_else(|| {
        let document = DeTable::parse(text).ok()?;
        let mut table = document.get_ref();
        let mut names = error.key.split('.').peekable();
        while let Some(name) = names.next() {
            let (key, value) = table.get_key_value(name)?;
            if names.peek().is_none() {
                return Some(key.span());
            }
            table = match value.get_ref() {
                DeValue::Table(table) => table,
                _ => return None,
            };
        }
        None
    });
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str, sets: &[&str]) -> String {
        let overrides: Vec<Override> = sets.iter().map(|s| Override::set(s).unwrap()).collect();
        TrainConfig::from_toml("x.toml", text, &overrides).unwrap_err().to_string()
    }

    fn config(text: &str, sets: &[&str]) -> TrainConfig {
        let overrides: Vec<Override> = sets.iter().map(|s| Override::set(s).unwrap()).collect();
        TrainConfig::from_toml("x.toml", text, &overrides).unwrap()
    }

    #[test]
    fn an_empty_text_is_the_default_and_survives_the_way_through_toml() {
        let default = config("", &[]);
        assert_eq!(default, TrainConfig::default());
        assert_eq!(config(&default.to_toml(), &[]), default);
    }

    #[test]
    fn an_unknown_key_names_its_line_and_the_valid_keys() {
        for (text, line, valid) in [
            ("[model]\nlatnet = 3\n", 2, "`latent`"),
            ("\n[model.encoder]\nkind = \"mlp\"\nhiden = [3]\n", 4, "`hidden`"),
            ("[train]\nepoch = 3\n", 2, "`epochs`"),
            ("[data]\nsorce = \"digits\"\n", 2, "`source`"),
            ("[trian]\n", 1, "`train`"),
            ("[train.optimizer]\nlr = 0.1\n", 2, "`learning_rate`"),
        ] {
            let message = error(text, &[]);
            assert!(message.starts_with(&format!("x.toml:{line}: ")), "{message}");
            assert!(message.contains(valid), "{message}");
        }
    }

    #[test]
    fn an_unknown_kind_names_its_line_and_the_valid_kinds() {
        let message = error("[model]\nlatent = 2\n[model.prior]\nkind = \"vamp-prior\"\n", &[]);
        assert!(message.starts_with("x.toml:4: model.prior.kind: "), "{message}");
        assert!(message.contains("`standard`"), "{message}");
    }

    #[test]
    fn a_wrong_type_names_its_line() {
        let message = error("[model]\nlatent = \"twenty\"\n", &[]);
        assert!(message.starts_with("x.toml:2: model.latent: "), "{message}");
        let message = error("[model]\nencoder = 3\n", &[]);
        assert!(message.starts_with("x.toml:2: model.encoder: expected a table"), "{message}");
    }

    #[test]
    fn an_impossible_value_names_its_line_or_its_flag() {
        let message = error("[train]\nepochs = 2\nbatch_size = 0\n", &[]);
        assert!(message.starts_with("x.toml:3: train.batch_size: "), "{message}");
        let message = error("[train]\nepochs = 2\n", &["train.optimizer.learning_rate=7"]);
        assert!(message.starts_with("--set train.optimizer.learning_rate=7: "), "{message}");
    }

    #[test]
    fn a_bad_override_names_its_flag() {
        let message = error("", &["model.latnet=3"]);
        assert!(message.starts_with("--set model.latnet=3: "), "{message}");
        let message = error("", &["model.latent=many"]);
        assert!(message.starts_with("--set model.latent=many: "), "{message}");
        let message = error("", &["model.latent.deep=3"]);
        assert!(message.contains("model.latent"), "{message}");
        assert!(Override::set("model.latent").is_err());
    }

    #[test]
    fn overrides_stand_above_the_text_and_may_be_strings_without_quotes() {
        let c = config(
            "[model]\nlatent = 3\n[train]\nepochs = 5\n",
            &["model.latent=7", "data.source=digits", "model.encoder.hidden=[64, 32]"],
        );
        assert_eq!((c.model.latent, c.train.epochs), (7, 5));
        assert_eq!(c.data.source, "digits");
    }

    #[test]
    fn another_kind_drops_the_settings_of_the_old_one() {
        let text = "[train.optimizer]\nkind = \"adam\"\nbeta1 = 0.5\n";
        let c = config(text, &["train.optimizer.kind=sgd"]);
        assert_eq!(c.train.optimizer, OptimizerConfig::Sgd(Default::default()));
        // In whatever order: what is set beside the kind stays.
        let sets = ["train.optimizer.learning_rate=0.05", "train.optimizer.kind=sgd"];
        assert_eq!(config(text, &sets).train.optimizer.learning_rate(), 0.05);
        // And a kind that the text leaves to its default is no other kind.
        let c = config("[model.encoder]\nhidden = [77]\n", &["model.encoder.kind=mlp"]);
        assert_eq!(c.model.encoder.summary(), "mlp 77");
    }

    #[test]
    fn malformed_toml_names_its_line() {
        let message = error("[model]\nlatent = = 3\n", &[]);
        assert!(message.starts_with("x.toml:2: "), "{message}");
    }

    #[test]
    fn impossible_combinations_are_refused_with_what_would_work() {
        let message = error("", &["model.posterior.kind=point"]);
        assert!(message.contains("objective.beta = 0"), "{message}");
        let message = error("", &["data.pixels=signed"]);
        assert!(message.contains("tanh"), "{message}");
        let message = error("", &["train.patience=3"]);
        assert!(message.contains("data.validation"), "{message}");
    }

    #[test]
    fn a_run_may_grow_and_log_differently_but_nothing_else() {
        let old = config("", &[]);
        for set in ["train.epochs=30", "train.max_steps=9", "train.log_every=3"] {
            assert!(old.may_resume_with(&config("", &[set])).is_ok(), "{set}");
        }
        for (set, key) in [
            ("model.latent=21", "model.latent"),
            ("objective.beta=2.0", "objective.beta"),
            ("data.limit=100", "data.limit"),
            ("train.seed=1", "train.seed"),
            ("train.replicas=3", "train.replicas"),
            ("train.optimizer.learning_rate=0.01", "train.optimizer.learning_rate"),
        ] {
            let refusal = old.may_resume_with(&config("", &[set])).unwrap_err().to_string();
            assert!(refusal.contains(key), "{refusal}");
        }
    }
}
