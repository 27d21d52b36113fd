//! The lists that fakes are put together from, and the functions that do it.

use crate::postgres::identifier::literal;

const FUNCTIONS: &str = include_str!("functions.sql");

/// Common in several countries, so that no combination points at anybody.
const FIRST_NAMES: &str = "Ada Adam Agnes Alan Alba Alex Alice Amal Amir Ana Anders Anna Anton Aria Arne Asha Astrid \
    Ben Bianca Bruno Carla Carlos Cecilia Clara Daniel Daria David Dora Elena Elias Elin Emil Emma Erik Eva Felix \
    Fiona Florian Frida Gabriel Greta Hana Hans Hugo Ida Ines Irene Isaac Ivan Jakob Jana Jonas Julia Kai Karim Karin \
    Lara Lea Leo Lena Lin Lucas Luis Maja Malik Marco Maria Marta Max Mei Mia Milan Mina Nadia Nils Nina Noah Nora \
    Olga Oscar Otto Paula Pavel Petra Rafael Rosa Ruth Samir Sara Simon Sofia Stella Sven Tara Theo Tom Vera Victor Yara Zoe";

const LAST_NAMES: &str = "Abel Adler Alvarez Andersson Bach Baker Becker Berg Bianchi Blanc Bloom Brandt Braun Brook \
    Carter Castro Chen Conti Costa Dahl Daniels Diaz Dubois Eckert Ekman Engel Evans Falk Fischer Fontana Frank Garcia \
    Gomez Graf Green Haas Hall Hansen Hartmann Heller Hill Holm Horn Ibarra Ito Jansen Jensen Johansson Jung Kaiser \
    Keller Khan Klein Koch Kovacs Kraus Kumar Lang Larsen Lehmann Lindberg Lopez Lorenz Marsh Martin Mendes Meyer \
    Moreau Moretti Nagel Navarro Nielsen Novak Olsen Ortega Otto Park Pereira Peters Petrov Pohl Ramos Reed Richter Rossi \
    Roth Sato Sauer Schmidt Silva Simon Sommer Stein Svensson Tanaka Torres Vogel Wagner Walker Weber Wolf Young Ziegler";

const CITIES: &str = "Ashford Birchwood Brookside Clearwater Cliffton Eastmere Elmwood Fairview Foxhollow Glenview \
    Greenfield Harborton Hillcrest Kingsport Lakewood Lindenau Maplewood Marston Millbrook Northgate Oakdale Pinehurst \
    Redbridge Riverton Rosemont Silverton Southbank Stonehaven Summerfield Thornbury Westmere Willowdale";

const COMPANIES: &[&str] =
    &[" & Co", " & Sons", " AG", " GmbH", " Group", " Inc", " Labs", " Ltd", " Partners", " Works"];

const STREETS: &[&str] = &[
    "Ash Lane",
    "Birch Road",
    "Bridge Street",
    "Canal Street",
    "Cedar Avenue",
    "Chapel Road",
    "Church Lane",
    "Elm Street",
    "Garden Row",
    "High Street",
    "Hill Road",
    "Lake View",
    "Lime Street",
    "Main Street",
    "Maple Drive",
    "Market Square",
    "Meadow Lane",
    "Mill Road",
    "Oak Street",
    "Park Avenue",
    "Pine Close",
    "River Walk",
    "School Lane",
    "Station Road",
    "Willow Way",
];

/// The statements that install what rules call.
pub(super) fn functions() -> String {
    let words = |list: &'static str| list.split_whitespace().collect::<Vec<_>>();
    [
        ("{first_names}", words(FIRST_NAMES)),
        ("{last_names}", words(LAST_NAMES)),
        ("{cities}", words(CITIES)),
        ("{companies}", COMPANIES.to_vec()),
        ("{streets}", STREETS.to_vec()),
    ]
    .iter()
    .fold(FUNCTIONS.to_owned(), |sql, (name, list)| sql.replace(name, &array(list)))
}

fn array(list: &[&str]) -> String {
    let entries: Vec<String> = list.iter().map(|entry| literal(entry)).collect();
    format!("ARRAY[{}]", entries.join(", "))
}
