//! The `http_worker` of the `http` example, against a server on loopback.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use wippy_testkit::Dir;

use crate::dir;

/// Serves until the test ends: the path in upper case, and 404 for `/missing`.
fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap() > 0 {}
            let path = head.split(' ').nth(1).unwrap_or_default().to_uppercase();
            let status = if path == "/MISSING" { "404 Not Found" } else { "200 OK" };
            let length = path.len();
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{path}");
            reader.get_mut().write_all(answer.as_bytes()).unwrap();
        }
    });
    url
}

fn example() -> Dir {
    let dir = dir();
    dir.example("http");
    dir
}

#[test]
fn the_worker_fetches_what_its_variable_names() {
    let (dir, url) = (example(), serve());
    dir.wippy(["check"]).succeeds().quietly();
    for command in ["fetch", "fetch-c"] {
        let fetch = || dir.wippy(["run", command]);
        fetch().env("API_URL", format!("{url}/hello")).succeeds().prints("/HELLO\n").quietly();
        fetch().env("API_URL", format!("{url}/missing")).exits(1).mentions("404");
    }
    let default = format!("myns:api_url:default={url}/default");
    dir.wippy(["run", "-o", &default, "fetch"]).succeeds().prints("/DEFAULT\n").quietly();
}

#[test]
fn the_worker_of_the_page_with_funcs() {
    let (dir, url) = (example(), serve());
    let index = dir.read("src/_index.yaml");
    let index = index.replace("      - wasi:http\n", "      - wasi:http\n      - funcs\n");
    dir.write("src/_index.yaml", index);
    let fetch = dir.wippy(["run", "fetch"]).env("API_URL", format!("{url}/funcs"));
    fetch.succeeds().prints("/FUNCS\n").quietly();
}

#[test]
fn without_the_grant_the_worker_is_denied() {
    let (dir, url) = (example(), serve());
    let index = dir.read("src/_index.yaml").replace("      - wasi:http\n", "");
    dir.write("src/_index.yaml", index);
    dir.wippy(["run", "fetch"]).env("API_URL", url).exits(1).mentions("HttpRequestDenied");
}

#[test]
fn without_a_value_the_required_variable_stops_it() {
    let dir = example();
    let index = dir.read("src/_index.yaml");
    dir.write("src/_index.yaml", index.replace("    default: http://127.0.0.1:8080/\n", ""));
    dir.wippy(["run", "fetch"]).exits(2).mentions("API_URL");
}
