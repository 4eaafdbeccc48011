// Table 5-6 as data, and the conditions below it.
type Dim = string | number;

export interface LayoutEntry {
  readonly path: string;
  readonly type: string;
  readonly dims: readonly Dim[];
  readonly required: boolean;
}

function entry(path: string, type: string, dims: readonly Dim[] = [], required = false): LayoutEntry {
  return { path, type, dims, required };
}

const yes = true;

export const layout: readonly LayoutEntry[] = [
  entry("/@format", "str", [], yes),
  entry("/@format_version", "str", [], yes),
  entry("/@profile", "str", [], yes),
  entry("/@level", "u4", [], yes),
  entry("/@must_understand", "str", [], yes),
  entry("/@sequence_id", "str", [], yes),
  entry("/@creator", "str"),
  entry("/@manifest_digest", "u1", [32], yes),
  entry("/encryption@key_digest", "u1", [32]),
  entry("/model@family", "str", [], yes),
  entry("/model@configuration", "str", [], yes),
  entry("/model/tensors/name", "str", ["T"], yes),
  entry("/model/tensors/dtype", "str", ["T"], yes),
  entry("/model/tensors/role", "u1", ["T"], yes),
  entry("/model/tensors/layer", "i4", ["T"], yes),
  entry("/model/tensors/shape", "i8", ["T", "D"], yes),
  entry("/model/tensors/first_frame", "u4", ["T"]),
  entry("/frames@timescale", "u4", [], yes),
  entry("/frames/coding", "u1", ["N"], yes),
  entry("/frames/presentation_time", "i8", ["N"], yes),
  entry("/frames/segment_length", "u8", ["N"], yes),
  entry("/frames/segment_sha256", "u1", ["N", 32], yes),
  entry("/frames/state_bytes", "u8", ["N"], yes),
  entry("/frames/state_digest", "u1", ["N", 32], yes),
  entry("/frames/source_name", "str", ["N"]),
  entry("/frames/extras", "str", ["N"]),
  entry("/frames/declared_psnr", "f8", ["N"]),
  entry("/refinements/start", "u8", ["N", "S"]),
  entry("/refinements/state_digest", "u1", ["N", "S", 32]),
  entry("/refinements/declared_psnr", "f8", ["N", "S"]),
  entry("/training/trained_from", "i8", ["N"]),
  entry("/training/iterations", "i8", ["N"]),
  entry("/training/seconds", "f8", ["N"]),
  entry("/training/requires_grad", "u1", ["N", "B"]),
  entry("/training/requires_grad_known", "u1", ["N"]),
  entry("/training/exclude_layers", "i4", ["E"]),
  entry("/training/exclude_layers_count", "i4", ["N"]),
  entry("/training/colour_view", "str", ["P"]),
  entry("/training/colour", "f8", ["N", "P", 3, 4]),
  entry("/cameras/name", "str", ["C"]),
  entry("/cameras/size", "u4", ["C", 2]),
  entry("/cameras/intrinsics", "f8", ["C", 4]),
  entry("/cameras/distortion_model", "str", ["C"]),
  entry("/cameras/distortion", "f8", ["C", "K"]),
  entry("/cameras/camera_to_world", "f8", ["C", 3, 4]),
  entry("/cameras@convention", "str"),
  entry("/cameras@normalisation", "f8", [4, 4]),
  entry("/quality/view", "str", ["V"]),
  entry("/quality/psnr", "f8", ["N", "V"]),
  entry("/quality/ssim", "f8", ["N", "V"]),
  entry("/quality/lpips", "f8", ["N", "V"]),
  entry("/media/file", "str", ["M"]),
  entry("/media/type", "str", ["M"]),
  entry("/media/role", "str", ["M"]),
  entry("/media/length", "u8", ["M"]),
  entry("/media/chunk_sha256", "u1", ["L", 32]),
  entry("/media/map_timescale", "u4", ["M"]),
  entry("/media/map_count", "u4", ["M"]),
  entry("/media/map_position", "u8", ["R"]),
  entry("/media/map_frame", "i8", ["R"]),
];

/** Where one object of a line is there, all of them shall be. */
export const together: readonly (readonly string[])[] = [
  ["/refinements/start", "/refinements/state_digest"],
  ["/training/requires_grad", "/training/requires_grad_known"],
  ["/training/exclude_layers", "/training/exclude_layers_count"],
  ["/training/colour_view", "/training/colour"],
  [
    "/cameras/name",
    "/cameras/size",
    "/cameras/intrinsics",
    "/cameras/camera_to_world",
    "/cameras@convention",
    "/cameras@normalisation",
  ],
  ["/cameras/distortion_model", "/cameras/distortion"],
  layout.map((e) => e.path).filter((path) => path.startsWith("/media/")),
];
