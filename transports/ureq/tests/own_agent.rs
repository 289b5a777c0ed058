//! An agent of the caller's own.

use std::sync::Arc;
use unifiedai_transport_testing::each_case;
use unifiedai_ureq::UreqTransport;

// Those that do not depend on its connections, which are ureq's.
each_case! { make:
    an_empty_post_has_a_length
    a_chunked_body_arrives
    a_body_ended_by_the_connection_arrives
    responses_without_a_body_end_immediately
    http_1_0_response_is_read
    statuses_above_400_are_responses
    redirects_are_not_followed
    interim_responses_are_skipped
    headers_of_60_kib_are_accepted
    a_header_bomb_is_refused
    too_many_headers_are_refused
    garbage_headers_are_a_protocol_error
    a_garbage_chunk_is_a_protocol_error
    a_read_connection_is_used_again
    a_half_read_connection_is_not_used_again
    bytes_after_a_response_are_no_response
    an_idle_connection_that_died_is_not_used
    a_limit_holds_for_its_request_alone
    silent_server_hits_the_header_timeout
    total_timeout_limits_the_headers
    headers_may_take_longer_than_a_pause_in_the_body
    pause_in_the_body_hits_the_deadline_and_is_not_the_end
    dripping_headers_hit_the_header_timeout
    a_dripping_chunk_runs_into_the_deadline
    a_deadline_in_the_past_still_reads_what_is_there
    no_limit_is_no_limit
    a_closed_port_is_not_sent
    an_unknown_name_is_not_sent
    a_uri_without_a_host_is_not_sent
    a_cut_length_is_truncated
    a_cut_chunk_is_truncated
    a_missing_last_chunk_is_truncated
    a_content_length_other_than_the_bodys_is_not_sent
    failures_contain_no_secret
    a_streamed_body_arrives_with_its_length
    a_source_of_another_length_is_no_request
    a_failing_source_is_named
    a_slow_server_slows_the_source
    an_upload_may_take_longer_than_its_headers
    an_upload_that_stops_hits_its_limit
    a_silent_server_after_an_upload_hits_the_response_limit
}

fn make(_: Arc<rustls::ClientConfig>) -> UreqTransport {
    let config = ureq::Agent::config_builder().proxy(None).build();
    UreqTransport::from(ureq::Agent::new_with_config(config))
}
