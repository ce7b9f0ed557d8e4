//! What a registry asks of a store, asked of every store: memory, a folder, the test server, and servers that a variable names.
//!
//! `GGEN_TEST_S3` names servers, separated by spaces, each as `NAME=ENDPOINT/BUCKET[/PREFIX][?OPTION=VALUE&…]`:
//!
//! ```text
//! GGEN_TEST_S3="minio=http://127.0.0.1:9000/reg garage=http://127.0.0.1:3900/reg?region=garage&lacks=create,update"
//! ```
//!
//! The bucket has to exist. The access key is in `GGEN_TEST_S3_<NAME>_ACCESS_KEY` and `GGEN_TEST_S3_<NAME>_SECRET_KEY` (the name
//! in capitals), or else in `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`. Options:
//! * `region` (default `us-east-1`).
//! * `lacks`: what the server is known not to do, separated by commas. `create`: a conditional create; `race`: one winner of
//!   many who create at once; `update`: `If-Match` on a write; `validators`: conditional reads; `attributes`: keeping
//!   `Content-Type` and `Cache-Control`. The cases of these are then skipped, and say so.
//! * `checksum=no`: do not send `x-amz-checksum-sha256`.
//!
//! Everything goes below a prefix that is new in every case, and is deleted afterwards where the case does not fail.

mod cases;
mod life;
mod subject;

/// One test for each case, over whatever that function opens.
macro_rules! over {
    ($open:path) => {
        over! { $open;
            cases: a_put_is_read_back_with_its_tag, ranges, a_listing_is_whole_and_in_pages, an_overwrite_is_seen,
            a_create_happens_once, many_who_create_at_once_have_one_winner, an_update_needs_the_tag_that_is_there,
            a_large_upload_in_parts_is_all_or_nothing, attributes_are_kept, any_character_may_be_in_a_key,
            what_is_absent_is_not_found, what_is_deleted_is_gone, bytes_outlive_the_one_who_wrote_them;
            life: a_registry_lives
        }
    };
    ($open:path; $($module:ident: $($case:ident),*);*) => {
        $($(
            #[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                for subject in $open().await {
                    super::$module::$case(&subject).await;
                    subject.clean().await;
                }
            }
        )*)*
    };
}

mod memory {
    over!(super::subject::memory);
}

mod folder {
    over!(super::subject::folder);
}

mod test_server {
    over!(super::subject::test_server);
}

mod servers {
    over!(super::subject::servers);
}
