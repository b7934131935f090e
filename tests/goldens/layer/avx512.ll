; k0
declare void @llvm.prefetch.p0(ptr, i32, i32, i32)
declare <16 x float> @llvm.fma.v16f32(<16 x float>, <16 x float>, <16 x float>)
declare <8 x float> @llvm.masked.load.v8f32.p0(ptr, <8 x i1>, <8 x float>)
declare <8 x float> @llvm.fma.v8f32(<8 x float>, <8 x float>, <8 x float>)
declare void @llvm.masked.store.v8f32.p0(<8 x float>, ptr, <8 x i1>)
define void @tj_df30c923ac52f0cb7b2785ee84a37e6b(ptr %b0, ptr %b1, ptr %b2, ptr %b3, i64 %tid, i64 %nt) nounwind "prefer-vector-width"="512" "min-legal-vector-width"="512" {
entry:
  %n1 = mul i64 %tid, 1
  %n2 = add i64 %n1, 1
  %n3 = udiv i64 %n1, %nt
  %n4 = udiv i64 %n2, %nt
  br label %pre5
pre5:
  %n11 = icmp ult i64 %n3, %n4
  br i1 %n11, label %head6, label %done8
head6:
  %p9 = phi i64 [ %n3, %pre5 ], [ %p10, %latch7 ]
  call void @llvm.prefetch.p0(ptr %b2, i32 0, i32 3, i32 1)
  %a12 = getelementptr float, ptr %b2, i64 16
  call void @llvm.prefetch.p0(ptr %a12, i32 0, i32 3, i32 1)
  br label %pre13
pre13:
  br label %head14
head14:
  %r017 = phi i64 [ 0, %pre13 ], [ %r018, %latch15 ]
  %c19 = phi <16 x float> [ splat (float 0x0000000000000000), %pre13 ], [ %v38, %latch15 ]
  %c20 = phi <8 x float> [ splat (float 0x0000000000000000), %pre13 ], [ %v43, %latch15 ]
  %c21 = phi <16 x float> [ splat (float 0x0000000000000000), %pre13 ], [ %v48, %latch15 ]
  %c22 = phi <8 x float> [ splat (float 0x0000000000000000), %pre13 ], [ %v51, %latch15 ]
  %c23 = phi <16 x float> [ splat (float 0x0000000000000000), %pre13 ], [ %v56, %latch15 ]
  %c24 = phi <8 x float> [ splat (float 0x0000000000000000), %pre13 ], [ %v59, %latch15 ]
  %c25 = phi <16 x float> [ splat (float 0x0000000000000000), %pre13 ], [ %v64, %latch15 ]
  %c26 = phi <8 x float> [ splat (float 0x0000000000000000), %pre13 ], [ %v67, %latch15 ]
  %c27 = phi <16 x float> [ splat (float 0x0000000000000000), %pre13 ], [ %v72, %latch15 ]
  %c28 = phi <8 x float> [ splat (float 0x0000000000000000), %pre13 ], [ %v75, %latch15 ]
  %c29 = phi <16 x float> [ splat (float 0x0000000000000000), %pre13 ], [ %v80, %latch15 ]
  %c30 = phi <8 x float> [ splat (float 0x0000000000000000), %pre13 ], [ %v83, %latch15 ]
  %a31 = getelementptr float, ptr %b0, i64 %r017
  %a35 = mul i64 %r017, 19
  %a36 = getelementptr float, ptr %b1, i64 %a35
  %v32 = load float, ptr %a31, align 4
  %v33 = insertelement <16 x float> poison, float %v32, i64 0
  %v34 = shufflevector <16 x float> %v33, <16 x float> poison, <16 x i32> zeroinitializer
  %v37 = load <16 x float>, ptr %a36, align 4
  %v38 = call <16 x float> @llvm.fma.v16f32(<16 x float> %v34, <16 x float> %v37, <16 x float> %c19)
  %v39 = insertelement <8 x float> poison, float %v32, i64 0
  %v40 = shufflevector <8 x float> %v39, <8 x float> poison, <8 x i32> zeroinitializer
  %a41 = getelementptr float, ptr %a36, i64 16
  %v42 = call <8 x float> @llvm.masked.load.v8f32.p0(ptr align 4 %a41, <8 x i1> <i1 true, i1 true, i1 true, i1 false, i1 false, i1 false, i1 false, i1 false>, <8 x float> zeroinitializer)
  %v43 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v40, <8 x float> %v42, <8 x float> %c20)
  %a44 = getelementptr float, ptr %a31, i64 20
  %v45 = load float, ptr %a44, align 4
  %v46 = insertelement <16 x float> poison, float %v45, i64 0
  %v47 = shufflevector <16 x float> %v46, <16 x float> poison, <16 x i32> zeroinitializer
  %v48 = call <16 x float> @llvm.fma.v16f32(<16 x float> %v47, <16 x float> %v37, <16 x float> %c21)
  %v49 = insertelement <8 x float> poison, float %v45, i64 0
  %v50 = shufflevector <8 x float> %v49, <8 x float> poison, <8 x i32> zeroinitializer
  %v51 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v50, <8 x float> %v42, <8 x float> %c22)
  %a52 = getelementptr float, ptr %a31, i64 40
  %v53 = load float, ptr %a52, align 4
  %v54 = insertelement <16 x float> poison, float %v53, i64 0
  %v55 = shufflevector <16 x float> %v54, <16 x float> poison, <16 x i32> zeroinitializer
  %v56 = call <16 x float> @llvm.fma.v16f32(<16 x float> %v55, <16 x float> %v37, <16 x float> %c23)
  %v57 = insertelement <8 x float> poison, float %v53, i64 0
  %v58 = shufflevector <8 x float> %v57, <8 x float> poison, <8 x i32> zeroinitializer
  %v59 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v58, <8 x float> %v42, <8 x float> %c24)
  %a60 = getelementptr float, ptr %a31, i64 60
  %v61 = load float, ptr %a60, align 4
  %v62 = insertelement <16 x float> poison, float %v61, i64 0
  %v63 = shufflevector <16 x float> %v62, <16 x float> poison, <16 x i32> zeroinitializer
  %v64 = call <16 x float> @llvm.fma.v16f32(<16 x float> %v63, <16 x float> %v37, <16 x float> %c25)
  %v65 = insertelement <8 x float> poison, float %v61, i64 0
  %v66 = shufflevector <8 x float> %v65, <8 x float> poison, <8 x i32> zeroinitializer
  %v67 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v66, <8 x float> %v42, <8 x float> %c26)
  %a68 = getelementptr float, ptr %a31, i64 80
  %v69 = load float, ptr %a68, align 4
  %v70 = insertelement <16 x float> poison, float %v69, i64 0
  %v71 = shufflevector <16 x float> %v70, <16 x float> poison, <16 x i32> zeroinitializer
  %v72 = call <16 x float> @llvm.fma.v16f32(<16 x float> %v71, <16 x float> %v37, <16 x float> %c27)
  %v73 = insertelement <8 x float> poison, float %v69, i64 0
  %v74 = shufflevector <8 x float> %v73, <8 x float> poison, <8 x i32> zeroinitializer
  %v75 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v74, <8 x float> %v42, <8 x float> %c28)
  %a76 = getelementptr float, ptr %a31, i64 100
  %v77 = load float, ptr %a76, align 4
  %v78 = insertelement <16 x float> poison, float %v77, i64 0
  %v79 = shufflevector <16 x float> %v78, <16 x float> poison, <16 x i32> zeroinitializer
  %v80 = call <16 x float> @llvm.fma.v16f32(<16 x float> %v79, <16 x float> %v37, <16 x float> %c29)
  %v81 = insertelement <8 x float> poison, float %v77, i64 0
  %v82 = shufflevector <8 x float> %v81, <8 x float> poison, <8 x i32> zeroinitializer
  %v83 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v82, <8 x float> %v42, <8 x float> %c30)
  br label %latch15
latch15:
  %r018 = add nuw nsw i64 %r017, 1
  %n84 = icmp ult i64 %r018, 20
  br i1 %n84, label %head14, label %done16
done16:
  %v85 = load <16 x float>, ptr %b2, align 4
  %v86 = call <8 x float> @llvm.masked.load.v8f32.p0(ptr align 4 %a12, <8 x i1> <i1 true, i1 true, i1 true, i1 false, i1 false, i1 false, i1 false, i1 false>, <8 x float> zeroinitializer)
  %v87 = fadd <16 x float> %v38, %v85
  %v88 = fadd <8 x float> %v43, %v86
  %v89 = fadd <16 x float> %v48, %v85
  %v90 = fadd <8 x float> %v51, %v86
  %v91 = fadd <16 x float> %v56, %v85
  %v92 = fadd <8 x float> %v59, %v86
  %v93 = fadd <16 x float> %v64, %v85
  %v94 = fadd <8 x float> %v67, %v86
  %v95 = fadd <16 x float> %v72, %v85
  %v96 = fadd <8 x float> %v75, %v86
  %v97 = fadd <16 x float> %v80, %v85
  %v98 = fadd <8 x float> %v83, %v86
  %v99 = fcmp ogt <16 x float> splat (float 0x0000000000000000), %v87
  %v100 = select <16 x i1> %v99, <16 x float> splat (float 0x0000000000000000), <16 x float> %v87
  %v101 = fcmp ogt <8 x float> splat (float 0x0000000000000000), %v88
  %v102 = select <8 x i1> %v101, <8 x float> splat (float 0x0000000000000000), <8 x float> %v88
  %v103 = fcmp ogt <16 x float> splat (float 0x0000000000000000), %v89
  %v104 = select <16 x i1> %v103, <16 x float> splat (float 0x0000000000000000), <16 x float> %v89
  %v105 = fcmp ogt <8 x float> splat (float 0x0000000000000000), %v90
  %v106 = select <8 x i1> %v105, <8 x float> splat (float 0x0000000000000000), <8 x float> %v90
  %v107 = fcmp ogt <16 x float> splat (float 0x0000000000000000), %v91
  %v108 = select <16 x i1> %v107, <16 x float> splat (float 0x0000000000000000), <16 x float> %v91
  %v109 = fcmp ogt <8 x float> splat (float 0x0000000000000000), %v92
  %v110 = select <8 x i1> %v109, <8 x float> splat (float 0x0000000000000000), <8 x float> %v92
  %v111 = fcmp ogt <16 x float> splat (float 0x0000000000000000), %v93
  %v112 = select <16 x i1> %v111, <16 x float> splat (float 0x0000000000000000), <16 x float> %v93
  %v113 = fcmp ogt <8 x float> splat (float 0x0000000000000000), %v94
  %v114 = select <8 x i1> %v113, <8 x float> splat (float 0x0000000000000000), <8 x float> %v94
  %v115 = fcmp ogt <16 x float> splat (float 0x0000000000000000), %v95
  %v116 = select <16 x i1> %v115, <16 x float> splat (float 0x0000000000000000), <16 x float> %v95
  %v117 = fcmp ogt <8 x float> splat (float 0x0000000000000000), %v96
  %v118 = select <8 x i1> %v117, <8 x float> splat (float 0x0000000000000000), <8 x float> %v96
  %v119 = fcmp ogt <16 x float> splat (float 0x0000000000000000), %v97
  %v120 = select <16 x i1> %v119, <16 x float> splat (float 0x0000000000000000), <16 x float> %v97
  %v121 = fcmp ogt <8 x float> splat (float 0x0000000000000000), %v98
  %v122 = select <8 x i1> %v121, <8 x float> splat (float 0x0000000000000000), <8 x float> %v98
  store <16 x float> %v100, ptr %b3, align 4
  %a123 = getelementptr float, ptr %b3, i64 16
  call void @llvm.masked.store.v8f32.p0(<8 x float> %v102, ptr align 4 %a123, <8 x i1> <i1 true, i1 true, i1 true, i1 false, i1 false, i1 false, i1 false, i1 false>)
  %a124 = getelementptr float, ptr %b3, i64 19
  store <16 x float> %v104, ptr %a124, align 4
  %a125 = getelementptr float, ptr %b3, i64 35
  call void @llvm.masked.store.v8f32.p0(<8 x float> %v106, ptr align 4 %a125, <8 x i1> <i1 true, i1 true, i1 true, i1 false, i1 false, i1 false, i1 false, i1 false>)
  %a126 = getelementptr float, ptr %b3, i64 38
  store <16 x float> %v108, ptr %a126, align 4
  %a127 = getelementptr float, ptr %b3, i64 54
  call void @llvm.masked.store.v8f32.p0(<8 x float> %v110, ptr align 4 %a127, <8 x i1> <i1 true, i1 true, i1 true, i1 false, i1 false, i1 false, i1 false, i1 false>)
  %a128 = getelementptr float, ptr %b3, i64 57
  store <16 x float> %v112, ptr %a128, align 4
  %a129 = getelementptr float, ptr %b3, i64 73
  call void @llvm.masked.store.v8f32.p0(<8 x float> %v114, ptr align 4 %a129, <8 x i1> <i1 true, i1 true, i1 true, i1 false, i1 false, i1 false, i1 false, i1 false>)
  %a130 = getelementptr float, ptr %b3, i64 76
  store <16 x float> %v116, ptr %a130, align 4
  %a131 = getelementptr float, ptr %b3, i64 92
  call void @llvm.masked.store.v8f32.p0(<8 x float> %v118, ptr align 4 %a131, <8 x i1> <i1 true, i1 true, i1 true, i1 false, i1 false, i1 false, i1 false, i1 false>)
  %a132 = getelementptr float, ptr %b3, i64 95
  store <16 x float> %v120, ptr %a132, align 4
  %a133 = getelementptr float, ptr %b3, i64 111
  call void @llvm.masked.store.v8f32.p0(<8 x float> %v122, ptr align 4 %a133, <8 x i1> <i1 true, i1 true, i1 true, i1 false, i1 false, i1 false, i1 false, i1 false>)
  br label %latch7
latch7:
  %p10 = add nuw nsw i64 %p9, 1
  %n134 = icmp ult i64 %p10, %n4
  br i1 %n134, label %head6, label %done8
done8:
  ret void
}

declare void @tj_df30c923ac52f0cb7b2785ee84a37e6b(ptr, ptr, ptr, ptr, i64, i64)
declare void @tj_barrier(ptr, i64, i64)
define void @tj_program(ptr %table, i64 %tid, i64 %nt, ptr %team) nounwind {
entry:
  %first = icmp eq i64 %tid, 0
  %input_0.at = getelementptr ptr, ptr %table, i64 0
  %input_0 = load ptr, ptr %input_0.at
  %input_1.at = getelementptr ptr, ptr %table, i64 1
  %input_1 = load ptr, ptr %input_1.at
  %input_2.at = getelementptr ptr, ptr %table, i64 2
  %input_2 = load ptr, ptr %input_2.at
  %output_0.at = getelementptr ptr, ptr %table, i64 3
  %output_0 = load ptr, ptr %output_0.at
  call void @tj_df30c923ac52f0cb7b2785ee84a37e6b(ptr %input_0, ptr %input_1, ptr %input_2, ptr %output_0, i64 %tid, i64 %nt)
  ret void
}
