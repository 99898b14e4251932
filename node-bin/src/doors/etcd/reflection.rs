//! Server reflection: what there is to call, for clients without descriptions.

use bytes::Bytes;
use prost::Message;
use prost_types::{FileDescriptorProto, FileDescriptorSet};
use raft_net::etcd::reflection::server_reflection_request::MessageRequest;
use raft_net::etcd::reflection::server_reflection_response::MessageResponse;
use raft_net::etcd::reflection::{
    ErrorResponse, FileDescriptorResponse, ListServiceResponse, ServerReflectionRequest,
    ServerReflectionResponse, ServiceResponse,
};
use tonic::Code;

/// Answers one request of a stream of them.
pub(super) fn answer(request: ServerReflectionRequest) -> ServerReflectionResponse {
    let all = FileDescriptorSet::decode(raft_net::etcd::DESCRIPTORS)
        .expect("the descriptions in the program are whole")
        .file;
    let response = match &request.message_request {
        Some(MessageRequest::ListServices(_)) => {
            let service = all.iter().flat_map(|file| {
                file.service.iter().map(|service| ServiceResponse {
                    name: format!("{}.{}", file.package(), service.name()),
                })
            });
            let service = service.collect();
            MessageResponse::ListServicesResponse(ListServiceResponse { service })
        }
        Some(MessageRequest::FileByFilename(name)) => files(&all, |file| file.name() == name, name),
        Some(MessageRequest::FileContainingSymbol(symbol)) => {
            files(&all, |file| describes(file, symbol), symbol)
        }
        Some(
            MessageRequest::FileContainingExtension(_)
            | MessageRequest::AllExtensionNumbersOfType(_),
        )
        | None => missing("there are no extensions"),
    };
    ServerReflectionResponse {
        valid_host: request.host.clone(),
        original_request: Some(request),
        message_response: Some(response),
    }
}

/// Whether a file describes a service, one of its methods, or a message.
fn describes(file: &FileDescriptorProto, symbol: &str) -> bool {
    let Some(name) = symbol.strip_prefix(file.package()).and_then(|it| it.strip_prefix('.')) else {
        return false;
    };
    let first = name.split('.').next().unwrap_or_default();
    file.service.iter().any(|service| service.name() == first)
        || file.message_type.iter().any(|message| message.name() == first)
        || file.enum_type.iter().any(|one| one.name() == first)
}

/// The files that are asked for, with all that they need.
fn files(
    all: &[FileDescriptorProto],
    is_asked: impl Fn(&FileDescriptorProto) -> bool,
    what: &str,
) -> MessageResponse {
    let mut names: Vec<&str> =
        all.iter().filter(|file| is_asked(file)).map(FileDescriptorProto::name).collect();
    if names.is_empty() {
        return missing(what);
    }
    let mut at = 0;
    while let Some(name) = names.get(at).copied() {
        let file = all.iter().find(|file| file.name() == name);
        for needed in file.map_or(&[][..], |file| &file.dependency) {
            if !names.contains(&needed.as_str()) {
                names.push(needed);
            }
        }
        at += 1;
    }
    let found = names.iter().filter_map(|name| all.iter().find(|file| file.name() == *name));
    let file_descriptor_proto = found.map(|file| Bytes::from(file.encode_to_vec())).collect();
    MessageResponse::FileDescriptorResponse(FileDescriptorResponse { file_descriptor_proto })
}

fn missing(what: &str) -> MessageResponse {
    let error_code = i32::from(Code::NotFound);
    MessageResponse::ErrorResponse(ErrorResponse { error_code, error_message: what.to_owned() })
}
