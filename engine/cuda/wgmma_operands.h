// The operand lists of wgmma, which inline assembly wants spelled out: wgmma's accumulator is a
// list of 64 or 128 registers.
#pragma once

#define ENGINE_WGMMA_NAMES_0                                               \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define ENGINE_WGMMA_NAMES_1                                                         \
  "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
  "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define ENGINE_WGMMA_NAMES_2                                                         \
  "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, " \
  "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95"
#define ENGINE_WGMMA_NAMES_3                                                                     \
  "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, " \
  "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"
#define ENGINE_WGMMA_SUMS_0                                                                     \
  "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3]), "+f"(sum[4]), "+f"(sum[5]),           \
      "+f"(sum[6]), "+f"(sum[7]), "+f"(sum[8]), "+f"(sum[9]), "+f"(sum[10]), "+f"(sum[11]),     \
      "+f"(sum[12]), "+f"(sum[13]), "+f"(sum[14]), "+f"(sum[15]), "+f"(sum[16]), "+f"(sum[17]), \
      "+f"(sum[18]), "+f"(sum[19]), "+f"(sum[20]), "+f"(sum[21]), "+f"(sum[22]), "+f"(sum[23]), \
      "+f"(sum[24]), "+f"(sum[25]), "+f"(sum[26]), "+f"(sum[27]), "+f"(sum[28]), "+f"(sum[29]), \
      "+f"(sum[30]), "+f"(sum[31])
#define ENGINE_WGMMA_SUMS_1                                                                     \
  "+f"(sum[32]), "+f"(sum[33]), "+f"(sum[34]), "+f"(sum[35]), "+f"(sum[36]), "+f"(sum[37]),     \
      "+f"(sum[38]), "+f"(sum[39]), "+f"(sum[40]), "+f"(sum[41]), "+f"(sum[42]), "+f"(sum[43]), \
      "+f"(sum[44]), "+f"(sum[45]), "+f"(sum[46]), "+f"(sum[47]), "+f"(sum[48]), "+f"(sum[49]), \
      "+f"(sum[50]), "+f"(sum[51]), "+f"(sum[52]), "+f"(sum[53]), "+f"(sum[54]), "+f"(sum[55]), \
      "+f"(sum[56]), "+f"(sum[57]), "+f"(sum[58]), "+f"(sum[59]), "+f"(sum[60]), "+f"(sum[61]), \
      "+f"(sum[62]), "+f"(sum[63])
#define ENGINE_WGMMA_SUMS_2                                                                     \
  "+f"(sum[64]), "+f"(sum[65]), "+f"(sum[66]), "+f"(sum[67]), "+f"(sum[68]), "+f"(sum[69]),     \
      "+f"(sum[70]), "+f"(sum[71]), "+f"(sum[72]), "+f"(sum[73]), "+f"(sum[74]), "+f"(sum[75]), \
      "+f"(sum[76]), "+f"(sum[77]), "+f"(sum[78]), "+f"(sum[79]), "+f"(sum[80]), "+f"(sum[81]), \
      "+f"(sum[82]), "+f"(sum[83]), "+f"(sum[84]), "+f"(sum[85]), "+f"(sum[86]), "+f"(sum[87]), \
      "+f"(sum[88]), "+f"(sum[89]), "+f"(sum[90]), "+f"(sum[91]), "+f"(sum[92]), "+f"(sum[93]), \
      "+f"(sum[94]), "+f"(sum[95])
#define ENGINE_WGMMA_SUMS_3                                                                   \
  "+f"(sum[96]), "+f"(sum[97]), "+f"(sum[98]), "+f"(sum[99]), "+f"(sum[100]), "+f"(sum[101]), \
      "+f"(sum[102]), "+f"(sum[103]), "+f"(sum[104]), "+f"(sum[105]), "+f"(sum[106]),         \
      "+f"(sum[107]), "+f"(sum[108]), "+f"(sum[109]), "+f"(sum[110]), "+f"(sum[111]),         \
      "+f"(sum[112]), "+f"(sum[113]), "+f"(sum[114]), "+f"(sum[115]), "+f"(sum[116]),         \
      "+f"(sum[117]), "+f"(sum[118]), "+f"(sum[119]), "+f"(sum[120]), "+f"(sum[121]),         \
      "+f"(sum[122]), "+f"(sum[123]), "+f"(sum[124]), "+f"(sum[125]), "+f"(sum[126]),         \
      "+f"(sum[127])

#define ENGINE_WGMMA_NAMES_64 ENGINE_WGMMA_NAMES_0
#define ENGINE_WGMMA_NAMES_128 ENGINE_WGMMA_NAMES_0 ", " ENGINE_WGMMA_NAMES_1
#define ENGINE_WGMMA_NAMES_192 ENGINE_WGMMA_NAMES_128 ", " ENGINE_WGMMA_NAMES_2
#define ENGINE_WGMMA_NAMES_256 ENGINE_WGMMA_NAMES_192 ", " ENGINE_WGMMA_NAMES_3
#define ENGINE_WGMMA_SUMS_64 ENGINE_WGMMA_SUMS_0
#define ENGINE_WGMMA_SUMS_128 ENGINE_WGMMA_SUMS_0, ENGINE_WGMMA_SUMS_1
#define ENGINE_WGMMA_SUMS_192 ENGINE_WGMMA_SUMS_128, ENGINE_WGMMA_SUMS_2
#define ENGINE_WGMMA_SUMS_256 ENGINE_WGMMA_SUMS_192, ENGINE_WGMMA_SUMS_3
// The descriptors and the predicate follow the accumulator.
#define ENGINE_WGMMA_INPUTS_64 "%32, %33"
#define ENGINE_WGMMA_INPUTS_128 "%64, %65"
#define ENGINE_WGMMA_INPUTS_192 "%96, %97"
#define ENGINE_WGMMA_INPUTS_256 "%128, %129"
#define ENGINE_WGMMA_KEEP_64 "%34"
#define ENGINE_WGMMA_KEEP_128 "%66"
#define ENGINE_WGMMA_KEEP_192 "%98"
#define ENGINE_WGMMA_KEEP_256 "%130"

/// wgmma of `columns` columns on the variables sum, a, b and keep. `tail` holds the flags that only
/// 16-bit types have: neither operand is transposed.
#define ENGINE_WGMMA_OF(columns, types, tail)                                              \
  asm volatile(                                                                            \
      "{\n"                                                                                \
      ".reg .pred keep;\n"                                                                 \
      "setp.ne.b32 keep, " ENGINE_WGMMA_KEEP_##columns                                     \
      ", 0;\n"                                                                             \
      "wgmma.mma_async.sync.aligned.m64n" #columns types " {" ENGINE_WGMMA_NAMES_##columns \
      "}, " ENGINE_WGMMA_INPUTS_##columns ", keep, 1, 1" tail                              \
                                          ";\n"                                            \
                                          "}\n"                                            \
      : ENGINE_WGMMA_SUMS_##columns                                                        \
      : "l"(a), "l"(b), "r"(keep))

/// The same for operands of the type T.
#define ENGINE_WGMMA(columns)                                \
  if constexpr (std::is_same_v<T, __half>) {                 \
    ENGINE_WGMMA_OF(columns, "k16.f32.f16.f16", ", 0, 0");   \
  } else if constexpr (std::is_same_v<T, __nv_bfloat16>) {   \
    ENGINE_WGMMA_OF(columns, "k16.f32.bf16.bf16", ", 0, 0"); \
  } else {                                                   \
    ENGINE_WGMMA_OF(columns, "k8.f32.tf32.tf32", "");        \
  }

// Where the first operand comes from registers, its four and the second's descriptor follow the
// accumulator.
#define ENGINE_WGMMA_GATHERED_INPUTS_64 "{%32, %33, %34, %35}, %36"
#define ENGINE_WGMMA_GATHERED_INPUTS_128 "{%64, %65, %66, %67}, %68"
#define ENGINE_WGMMA_GATHERED_INPUTS_256 "{%128, %129, %130, %131}, %132"

/// wgmma of `columns` columns with the first operand in the registers a[0] to a[3], added to sum.
/// `tail` as above.
#define ENGINE_WGMMA_GATHERED_OF(columns, types, tail)                                        \
  asm volatile("wgmma.mma_async.sync.aligned.m64n" #columns types                             \
               " {" ENGINE_WGMMA_NAMES_##columns "}, " ENGINE_WGMMA_GATHERED_INPUTS_##columns \
               ", 1, 1, 1" tail ";\n"                                                         \
               : ENGINE_WGMMA_SUMS_##columns                                                  \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b))

/// The same for operands of the type T.
#define ENGINE_WGMMA_GATHERED(columns)                             \
  if constexpr (std::is_same_v<T, __half>) {                       \
    ENGINE_WGMMA_GATHERED_OF(columns, "k16.f32.f16.f16", ", 0");   \
  } else if constexpr (std::is_same_v<T, __nv_bfloat16>) {         \
    ENGINE_WGMMA_GATHERED_OF(columns, "k16.f32.bf16.bf16", ", 0"); \
  } else {                                                         \
    ENGINE_WGMMA_GATHERED_OF(columns, "k8.f32.tf32.tf32", "");     \
  }
