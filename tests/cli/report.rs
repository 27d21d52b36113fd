//! The report of a run, made from its record alone.

use rehearsal_tests::{Database, Ended, Project};

use crate::project;

/// A table and texts that would open markup, if anything of them were taken for it.
const HOSTILE: &str = "CREATE TABLE \"<script>alert(1)</script>\" (id bigint PRIMARY KEY, \"</script><img src=x>\" text DEFAULT '<b>&amp;');\n\
     INSERT INTO \"<script>alert(1)</script>\" (id) SELECT g FROM generate_series(1, 2000) g;\n";

fn hostile() -> Project {
    project()
        .migration("1_hostile", HOSTILE, "DROP TABLE \"<script>alert(1)</script>\";\n")
        .migration(
            "2_say",
            "ALTER TABLE \"<script>alert(1)</script>\" ADD COLUMN n int;\n\
             DO $$ BEGIN RAISE WARNING '</script><script>alert(2)</script>'; END $$;\n",
            "ALTER TABLE \"<script>alert(1)</script>\" DROP COLUMN n;\n",
        )
        .write("migrations/checks/a.sql", "-- check: hostile <i>name</i>\n-- expect: value 2000\nSELECT count(*) FROM \"<script>alert(1)</script>\";\n")
}

/// Without what the file itself brings: its own script, and the record in JSON.
fn markup(html: &str) -> (usize, String) {
    let mut rest = html;
    let mut kept = String::new();
    let mut scripts = 0;
    while let Some((before, behind)) = rest.split_once("<script") {
        kept.push_str(before);
        scripts += 1;
        rest = behind.split_once("</script>").expect("it is closed").1;
    }
    kept.push_str(rest);
    (scripts, kept)
}

#[tokio::test]
async fn a_rehearsal_leaves_a_page_that_nothing_breaks_out_of() {
    let project = hostile();
    let ended = project.run("rehearse").await;
    let names = project.names_in(".rehearsal/records");
    let name = names.iter().find(|name| name.ends_with(".html")).unwrap_or_else(|| panic!("a page: {}", ended.text()));
    let html = std::fs::read_to_string(project.path(&format!(".rehearsal/records/{name}"))).expect("it can be read");
    let (scripts, kept) = markup(&html);
    assert_eq!(scripts, 2, "the record and the page's own");
    assert!(kept.contains("ALTER TABLE &quot;&lt;script&gt;alert(1)&lt;"), "the table is named");
    assert!(kept.contains("WARNING: &lt;&#x2f;script&gt;&lt;script&gt;alert(2)&lt;"), "what was said is told");
    assert!(!kept.contains("<img") && !kept.contains("<i>name") && !kept.contains("<b>&amp;amp;"));
    for outside in ["http://", "https://", "@import", "url("] {
        assert!(!kept.contains(outside), "{outside}");
    }
    // Of the Markdown, only what folds is markup.
    let summary = ended.summary();
    for inside in ["<script", "<img", "<i>", "<b>"] {
        assert!(!summary.contains(inside), "{inside} in {summary}");
    }
    assert!(summary.contains("hostile &lt;i&gt;name&lt;/i&gt;"), "{summary}");
    // The whole record is in it, as it is beside it.
    let (_, json) = html.split_once("type=\"application/json\" id=\"record\">").expect("the record");
    let json: serde_json::Value = serde_json::from_str(json.split_once("</script>").expect("its end").0).expect("JSON");
    assert_eq!(json, ended.record());
}

#[tokio::test]
async fn it_can_be_made_again_from_the_record_alone() {
    let database = Database::create().await;
    let project = project().items(20_000).on(&database);
    let ended: Ended = project.run("migrate").await;
    ended.must_exit(0);
    let run = ended.record()["run"]["run_id"].as_str().expect("a name").to_owned();
    let html = project.run(&format!("report {run}")).await;
    html.must_exit(0).must_say("<h1>migrate: dev (").must_say("rows a second");
    let written = project.path("again.html");
    project.run(&format!("report -o {}", written.display())).await.must_exit(0);
    assert_eq!(std::fs::read_to_string(&written).expect("it is there"), html.stdout);
    let markdown = project.run("report --format markdown").await;
    let beside = std::fs::read_to_string(project.path(&format!(".rehearsal/records/{run}.md"))).expect("it is there");
    assert_eq!(markdown.stdout, beside);
    let json = project.run(&format!("report --format json .rehearsal/records/{run}.json")).await;
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json.stdout).expect("JSON"), ended.record());
    project.run("report nothing").await.must_exit(2).must_say("cannot read");
    project.change("broken.json", "{}");
    project.run("report broken.json").await.must_exit(2).must_say("is no record that this version can read");
    let mut newer = ended.record();
    newer["format"] = 2.into();
    project.change("newer.json", &newer.to_string());
    project.run("report newer.json").await.must_exit(2).must_say("its format is 2, and this version reads 1");
}

/// New, changed and gone, each with its lines, once for each version.
#[tokio::test]
async fn what_becomes_of_the_schema() {
    let project = project()
        .migration("1_before", "CREATE TABLE a (id int);\nCREATE TABLE b (id int);\n", "DROP TABLE b, a;\n")
        .migration(
            "2_release",
            "ALTER TABLE a ADD COLUMN \"<n>\" text;\nDROP TABLE b;\nCREATE TABLE c (id int);\n",
            "DROP TABLE c;\nCREATE TABLE b (id int);\nALTER TABLE a DROP COLUMN \"<n>\";\n",
        )
        .write("rehearsal.toml", "[[releases]]\nname = 'R'\nafter = 1\nto = 2\n");
    let ended = project.run("rehearse").await;
    ended.must_exit(0);
    let record = ended.record();
    let steps = record["steps"].as_array().expect("steps");
    let told: Vec<_> = steps.iter().filter_map(|step| step.get("schema")?.as_array()).collect();
    assert_eq!(told.len(), 1, "there and there again is the same version");
    let lines = |change: &serde_json::Value| -> String {
        let lines = change["lines"].as_array().expect("lines").iter().filter_map(|line| line.as_str());
        // Whose it is differs from server to server.
        lines.filter(|line| !line.contains(" OWNER TO ")).collect::<Vec<_>>().join("\n")
    };
    let changes: Vec<_> =
        told[0].iter().map(|change| (change["became"].as_str(), change["object"].as_str(), lines(change))).collect();
    let expected = [
        ("changed", "TABLE public.a", "+ \"<n>\" text"),
        ("gone", "TABLE public.b", "- CREATE TABLE public.b (\n- id integer\n- );"),
        ("new", "TABLE public.c", "+ CREATE TABLE public.c (\n+ id integer\n+ );"),
    ];
    assert_eq!(changes, expected.map(|(became, object, lines)| (Some(became), Some(object), lines.to_owned())));
    let html = project.run("report --format html").await;
    html.must_say("What becomes of the schema").must_say("3 objects: 1 new, 1 changed, 1 gone");
    html.must_say("+ &quot;&lt;n&gt;&quot; text");
    ended.summary().lines().find(|line| line.contains("| gone | `TABLE public.b` |")).expect("it is in the Markdown");
    project.run("rehearse -v").await.must_exit(0).must_say("schema: changed TABLE public.a");
}
