//! What the coach says: a rule for each thing that goes wrong. docs/models.md lists them.

use vae_model::objective::{PriorMatching, Requirements};

use super::facts::Facts;
use crate::task::config::ValidConfig;

/// A rule.
#[derive(Clone, Copy)]
pub struct Rule {
    /// The name, which never changes.
    pub code: &'static str,
    /// Returns what goes wrong, and the setting to change. `None` if all is well, or if it is not known.
    pub judge: fn(&Facts, &ValidConfig, &Requirements) -> Option<(String, String)>,
}

/// All rules.
pub const RULES: &[Rule] = &[
    Rule { code: "pixel-range", judge: pixel_range },
    Rule { code: "data-scale", judge: data_scale },
    Rule { code: "averaged-loss", judge: averaged_loss },
    Rule { code: "learning-rate", judge: learning_rate },
    Rule { code: "posterior-collapse", judge: posterior_collapse },
    Rule { code: "exploding-kl", judge: exploding_kl },
    Rule { code: "over-fitting", judge: over_fitting },
    Rule { code: "sample-collapse", judge: sample_collapse },
];

/// Returns whether the loss is a sum of -log p(x|z) and a KL. Others weigh other terms.
fn is_bound(needs: &Requirements) -> bool {
    needs.prior_matching == PriorMatching::Kl && needs.compares_x.is_none()
}

/// Images of bytes become x by 255 levels. Pictures that use few of them were saved in another range,
/// most often 0 to 1.
fn pixel_range(facts: &Facts, _: &ValidConfig, _: &Requirements) -> Option<(String, String)> {
    /// Of 255 levels, those between the darkest and the brightest pixel.
    const LEVELS: u8 = 25;
    let (low, high) = facts.data.bytes?;
    (high - low <= LEVELS && high > 0).then(|| {
        (
            format!(
                "all pixels are between {low} and {high}, and the likelihood takes 0 as black and 255 \
                 as white"
            ),
            match 255 / high {
                1 => "stretch the contrast of the pictures before training".to_owned(),
                factor => format!("multiply the pixels by {factor} before training"),
            },
        )
    })
}

/// A fixed standard deviation of the likelihood, and initial weights, are for x of about 1.
fn data_scale(facts: &Facts, _: &ValidConfig, _: &Requirements) -> Option<(String, String)> {
    const FAR: f64 = 30.0;
    let deviation = facts.data.deviation?;
    (!(1.0 / FAR..=FAR).contains(&deviation)).then(|| {
        (
            format!("the standard deviation of x is {deviation:.3}, far from 1"),
            "set data.scale = \"standardize\"".to_owned(),
        )
    })
}

/// Programs that average the reconstruction over the numbers of x, where the KL is a sum, have a weight
/// of the KL that is as many times as small for the same model.
fn averaged_loss(facts: &Facts, _: &ValidConfig, needs: &Requirements) -> Option<(String, String)> {
    /// Below this many numbers there is little between a sum and an average.
    const NUMBERS: usize = 100;
    /// How near the weight must be to that of an average.
    const NEAR: f64 = 3.0;
    let (numbers, weight) = (facts.data.numbers as f64, needs.kl_weight?);
    let setting = needs.kl?;
    if facts.data.numbers < NUMBERS || !is_bound(needs) {
        return None;
    }
    let (kind, summed) = if weight * numbers <= NEAR {
        ("averaged", weight * numbers)
    } else if weight * NEAR >= numbers {
        ("multiplied by their number", weight / numbers)
    } else {
        return None;
    };
    Some((
        format!(
            "objective.{setting} = {weight} is for a reconstruction that is {kind} over the {} numbers \
             of x; here it is their sum, so figures cannot be compared",
            facts.data.numbers
        ),
        format!("set objective.{setting} = {summed:.3} for the same model"),
    ))
}

/// The loss must not rise above that of the initial weights.
fn learning_rate(
    facts: &Facts,
    config: &ValidConfig,
    needs: &Requirements,
) -> Option<(String, String)> {
    /// Nats, for a loss near 0.
    const LEAST: f64 = 10.0;
    let (first, highest) = (facts.first_loss?, facts.highest_loss);
    // The losses of networks that are trained against each other go up and down.
    if !needs.auxiliaries.is_empty() || highest <= first + first.abs().max(LEAST) {
        return None;
    }
    let rate = config.train.optimizer.learning_rate();
    Some((
        format!("the loss rose to {highest:.1}, and the initial weights had {first:.1}"),
        format!(
            "lower train.optimizer.learning_rate, {rate} now, to a third of it or less, or set \
             train.clip_norm"
        ),
    ))
}

/// z says nothing of x: q(z|x) is the prior.
fn posterior_collapse(
    facts: &Facts,
    _: &ValidConfig,
    needs: &Requirements,
) -> Option<(String, String)> {
    /// Nats.
    const NOTHING: f64 = 0.1;
    /// The share of the active units that may be lost.
    const LOST: usize = 4;
    let model = facts.model.as_ref()?;
    let (active, latent) = (model.active_units?, model.latent);
    let weight = needs.kl_weight.filter(|_| facts.is_settled(needs))?;
    let kl = facts.term("kl");
    let collapsed = active == 0 || kl.is_some_and(|kl| kl < NOTHING);
    let collapses = facts.most_active >= LOST && active * LOST <= facts.most_active;
    if !collapsed && !collapses {
        return None;
    }
    let kl = kl.map(|kl| format!(", and the KL is {kl:.2} nats")).unwrap_or_default();
    let before = match collapsed {
        true => String::new(),
        false => format!(" ({} before)", facts.most_active),
    };
    Some((
        format!(
            "posterior collapse: {active} of {latent} latent dimensions are active{before}{kl}"
        ),
        match needs.kl {
            Some(key) if weight > 1.0 => {
                format!("lower the weight of the KL, objective.{key} = {weight} now")
            }
            Some(_) if is_bound(needs) => {
                "raise the weight of the KL slowly (objective.warmup_epochs), keep some of it free \
                 (objective.free_bits), or make the likelihood's spread smaller"
                    .to_owned()
            }
            None if needs.decomposes_kl => {
                "lower the weights of the KL's parts (objective.alpha, beta and gamma), raise them \
                 slowly (objective.warmup_epochs), or make the likelihood's spread smaller"
                    .to_owned()
            }
            _ => "make the likelihood's spread smaller, or take a smaller decoder".to_owned(),
        },
    ))
}

/// q(z|x) far narrower than the prior, or far away from it.
fn exploding_kl(facts: &Facts, _: &ValidConfig, needs: &Requirements) -> Option<(String, String)> {
    /// Nats of a dimension: a standard deviation of 3e-7 within N(0, 1), or a mean at 5.5.
    const MOST: f64 = 15.0;
    let latent = facts.model.as_ref()?.latent as f64;
    let weight = needs.kl_weight.filter(|_| facts.is_settled(needs))?;
    let kl = facts.term("kl")?;
    (kl > MOST * latent).then(|| {
        let advice = match weight < 1.0 {
            true => format!("raise the weight of the KL, {weight} now"),
            false => "lower train.optimizer.learning_rate, or raise model.latent".to_owned(),
        };
        let each = kl / latent;
        (format!("the KL is {kl:.0} nats, {each:.0} in each latent dimension"), advice)
    })
}

/// The validation loss rises while the training loss falls.
fn over_fitting(facts: &Facts, config: &ValidConfig, _: &Requirements) -> Option<(String, String)> {
    /// Epochs since the lowest validation loss.
    const EPOCHS: f64 = 3.0;
    /// Share of the validation loss by which it has risen.
    const RISE: f64 = 0.01;
    /// Nats, for a loss near 0.
    const LEAST: f64 = 0.1;
    let (loss, (best, at)) = (facts.validation?, facts.best?);
    let falls = facts.loss()? < facts.train_at_best?;
    let rises = loss > best + (RISE * best.abs()).max(LEAST);
    (falls && rises && facts.epoch - at as f64 >= EPOCHS).then(|| {
        let stop = match config.train.patience {
            0 => "stop early (train.patience = 3)",
            _ => "let train.patience stop it",
        };
        (
            format!(
                "over-fitting: the validation loss is {loss:.2}, and was {best:.2} after epoch {at}, \
                 while the training loss falls; best.vae has the weights of that epoch"
            ),
            format!("{stop}, take a smaller network, or more data"),
        )
    })
}

/// A generator that makes the same picture of every z.
fn sample_collapse(facts: &Facts, _: &ValidConfig, _: &Requirements) -> Option<(String, String)> {
    /// Of the spread of the data, after so many steps. A generator starts with samples that are alike.
    const LEAST: f64 = 0.2;
    const STEPS: u64 = 2_000;
    /// The part of the largest spread so far that may be lost.
    const LOST: f64 = 0.5;
    let spread = facts.model.as_ref()?.spread?;
    let never = facts.step >= STEPS && spread < LEAST;
    let no_more = facts.largest_spread > LEAST && spread < LOST * facts.largest_spread.min(1.0);
    (never || no_more).then(|| {
        (
            format!(
                "the generator has collapsed: samples differ from each other by {:.0} % of what the \
                 data do ({:.0} % at best before)",
                100.0 * spread,
                100.0 * facts.largest_spread
            ),
            "lower the learning rates (train.optimizer, train.critic_optimizer), or set objective.loss \
             = \"wasserstein-gp\""
                .to_owned(),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::coach::facts::{DataFacts, ModelFacts};
    use crate::presets;

    /// What a healthy training of the default preset looks like.
    fn healthy() -> Facts {
        Facts {
            data: DataFacts { numbers: 784, bytes: Some((0, 255)), deviation: None },
            first_loss: Some(550.0),
            highest_loss: 560.0,
            step: 5_000,
            epoch: 9.0,
            train: vec![("loss".to_owned(), 105.0), ("kl".to_owned(), 25.0)],
            train_at_best: Some(105.1),
            validation: Some(105.2),
            best: Some((105.2, 9)),
            model: Some(ModelFacts { active_units: Some(18), latent: 20, spread: Some(0.8) }),
            most_active: 19,
            largest_spread: 0.9,
        }
    }

    /// Codes of the advice on facts.
    fn codes(facts: &Facts) -> Vec<&'static str> {
        let config = presets::resolve(presets::DEFAULT, &[]).unwrap();
        let needs = config.objective.requirements();
        let given = RULES.iter().filter(|rule| (rule.judge)(facts, &config, &needs).is_some());
        given.map(|rule| rule.code).collect()
    }

    #[test]
    fn each_rule_sees_what_it_is_for_and_nothing_else() {
        assert_eq!(codes(&healthy()), Vec::<&str>::new());
        let with = |change: &dyn Fn(&mut Facts)| {
            let mut facts = healthy();
            change(&mut facts);
            codes(&facts)
        };
        let model = |active_units, spread| Some(ModelFacts { active_units, latent: 20, spread });
        assert_eq!(with(&|f| f.data.bytes = Some((0, 1))), ["pixel-range"]);
        assert_eq!(with(&|f| f.data.bytes = Some((200, 210))), ["pixel-range"]);
        assert_eq!(with(&|f| f.data.bytes = Some((0, 0))), Vec::<&str>::new());
        assert_eq!(with(&|f| f.data.deviation = Some(400.0)), ["data-scale"]);
        assert_eq!(with(&|f| f.data.deviation = Some(0.001)), ["data-scale"]);
        assert_eq!(with(&|f| f.highest_loss = 1_200.0), ["learning-rate"]);
        assert_eq!(with(&|f| f.train[1].1 = 0.01), ["posterior-collapse"]);
        assert_eq!(with(&|f| f.model = model(Some(0), None)), ["posterior-collapse"]);
        assert_eq!(with(&|f| f.model = model(Some(4), None)), ["posterior-collapse"]);
        assert_eq!(with(&|f| f.train[1].1 = 400.0), ["exploding-kl"]);
        // As varied as the data is varied enough.
        let wild = |f: &mut Facts| (f.model, f.largest_spread) = (model(Some(18), Some(0.9)), 2.0);
        assert_eq!(with(&wild), Vec::<&str>::new());
        assert_eq!(with(&|f| f.validation = Some(107.0)), Vec::<&str>::new(), "too early to say");
        let over = |f: &mut Facts| (f.validation, f.best) = (Some(107.0), Some((105.2, 5)));
        assert_eq!(with(&over), ["over-fitting"]);
        assert_eq!(with(&|f| f.model = model(Some(18), Some(0.1))), ["sample-collapse"]);
        assert_eq!(with(&|f| f.model = model(Some(18), Some(0.4))), ["sample-collapse"]);
    }

    #[test]
    fn a_weight_of_the_kl_that_belongs_to_an_average_is_seen() {
        for (weight, summed) in [(0.001, "0.784"), (784.0, "1.000")] {
            let set = crate::Override::set(&format!("objective.beta={weight}")).unwrap();
            let config = presets::resolve(presets::DEFAULT, &[set]).unwrap();
            let needs = config.objective.requirements();
            let (_, advice) = averaged_loss(&healthy(), &config, &needs).unwrap();
            assert!(advice.contains(&format!("objective.beta = {summed} ")), "{advice}");
        }
    }
}
