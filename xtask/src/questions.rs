//! What only a person can answer: asked once at a terminal, or answered on the command line.

use std::io::{BufRead, IsTerminal, Write};

use rehearsal::config::Config;
use rehearsal::questions::QuestionError;
use rehearsal::questions::answers::{Answer, Answers};
use rehearsal::questions::question::Question;

use crate::cli::AnswerArgs;
use crate::machine;
use crate::out;
use crate::shell::Shell;
use crate::surroundings::Change;

/// The questions that nobody has answered with yes.
pub fn open<'a>(config: &'a Config, change: &Change<'_>) -> Vec<&'a Question> {
    let run = change.occasion(config);
    let answers = Answers::read(&config.answers, &run, change.digests());
    config.questions.iter().filter(|question| question.applies(&run) && answers.yes(question).is_none()).collect()
}

/// The answers for a change, once all of them are yes.
pub async fn answered(shell: &Shell, change: &Change<'_>, given: &AnswerArgs) -> anyhow::Result<Vec<Answer>> {
    let config = &shell.config;
    if let Some(id) = given.answers.iter().map(|(id, _)| id).find(|id| !is_known(config, id)) {
        let known: Vec<&str> = config.questions.iter().map(|question| question.id.as_str()).collect();
        let known = if known.is_empty() { "none".into() } else { known.join(", ") };
        return Err(rehearsal::Error::from(QuestionError::Unknown { id: id.clone(), known }).into());
    }
    if change.versions.is_empty() {
        return Ok(Vec::new());
    }
    let run = change.occasion(config);
    let mut answers = Answers::read(&config.answers, &run, change.digests());
    let by = given.by.clone().unwrap_or_else(machine::user);
    let (mut all, mut new, mut unanswered) = (Vec::new(), Vec::new(), Vec::new());
    for question in config.questions.iter().filter(|question| question.applies(&run)) {
        // Of several answers on one command line the last one is meant.
        let told = given.answers.iter().rev().find(|(id, _)| *id == question.id).map(|(_, yes)| *yes);
        let yes = match (told, answers.yes(question)) {
            (Some(yes), _) => yes,
            (None, Some(answer)) => {
                all.push(answer.clone());
                continue;
            }
            (None, None) if std::io::stdin().is_terminal() => ask(shell, question, &by).await?,
            (None, None) => {
                unanswered.push(question);
                continue;
            }
        };
        new.push(question.answered(yes, &by));
    }
    answers.keep(&new)?;
    let no: Vec<&Question> = config
        .questions
        .iter()
        .filter(|question| new.iter().any(|answer| answer.id == question.id && !answer.yes))
        .collect();
    if !no.is_empty() {
        let answering = answering(change, &no);
        return Err(rehearsal::Error::from(QuestionError::No { by, questions: texts(&no), answering }).into());
    }
    if !unanswered.is_empty() {
        let (command, target) = (change.act.as_str(), change.target.to_owned());
        let (open, answering) = (texts(&unanswered), answering(change, &unanswered));
        return Err(rehearsal::Error::from(QuestionError::Unanswered { command, target, open, answering }).into());
    }
    all.extend(new);
    Ok(all)
}

fn is_known(config: &Config, id: &str) -> bool {
    config.questions.iter().any(|question| question.id == id)
}

fn texts(questions: &[&Question]) -> Vec<String> {
    questions.iter().map(|question| format!("{} ({})", question.ask, question.id)).collect()
}

/// The command line that answers.
fn answering(change: &Change<'_>, questions: &[&Question]) -> String {
    let answers: Vec<String> = questions.iter().map(|question| format!(" --answer {}=yes", question.id)).collect();
    format!("{}{} --by NAME", change.words, answers.concat())
}

/// Anything but a yes is a no, as is the end of the input.
async fn ask(shell: &Shell, question: &Question, by: &str) -> anyhow::Result<bool> {
    let mut stderr = out::stderr();
    write!(stderr, "{} (answered by {by}) y/N: ", question.ask)?;
    stderr.flush()?;
    let line = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map(|_| line)
    });
    tokio::select! {
        line = line => Ok(matches!(line??.trim().to_lowercase().as_str(), "y" | "yes")),
        () = shell.cancel.cancelled() => Err(rehearsal::Error::Interrupted.into()),
    }
}
