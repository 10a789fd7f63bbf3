//! Sums up a CSV file of orders by region: the component, whose method is `process`.

mod job;

wit_bindgen::generate!({
    inline: "
        package wippy:file-processor;

        world file-processor {
            export process: func() -> result<string, string>;
        }
    ",
});

struct FileProcessor;

impl Guest for FileProcessor {
    fn process() -> Result<String, String> {
        job::run()
    }
}

export!(FileProcessor);
