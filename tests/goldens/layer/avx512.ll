; k0
declare void @llvm.prefetch.p0(ptr, i32, i32, i32)
declare <16 x float> @llvm.fma.v16f32(<16 x float>, <16 x float>, <16 x float>)
declare <16 x float> @llvm.masked.load.v16f32.p0(ptr, <16 x i1>, <16 x float>)
declare void @llvm.masked.store.v16f32.p0(<16 x float>, ptr, <16 x i1>)
define void @tj_27b24cacea1bf9f66712145d3d38fa68(ptr %b0, ptr %b1, ptr %b2, ptr %b3, i64 %tid, i64 %nt) nounwind "prefer-vector-width"="512" "min-legal-vector-width"="512" {
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
  %c20 = phi <16 x float> [ splat (float 0x0000000000000000), %pre13 ], [ %v41, %latch15 ]
  %c21 = phi <16 x float> [ splat (float 0x0000000000000000), %pre13 ], [ %v46, %latch15 ]
  %c22 = phi <16 x float> [ splat (float 0x0000000000000000), %pre13 ], [ %v47, %latch15 ]
  %c23 = phi <16 x float> [ splat (float 0x0000000000000000), %pre13 ], [ %v52, %latch15 ]
  %c24 = phi <16 x float> [ splat (float 0x0000000000000000), %pre13 ], [ %v53, %latch15 ]
  %c25 = phi <16 x float> [ splat (float 0x0000000000000000), %pre13 ], [ %v58, %latch15 ]
  %c26 = phi <16 x float> [ splat (float 0x0000000000000000), %pre13 ], [ %v59, %latch15 ]
  %c27 = phi <16 x float> [ splat (float 0x0000000000000000), %pre13 ], [ %v64, %latch15 ]
  %c28 = phi <16 x float> [ splat (float 0x0000000000000000), %pre13 ], [ %v65, %latch15 ]
  %c29 = phi <16 x float> [ splat (float 0x0000000000000000), %pre13 ], [ %v70, %latch15 ]
  %c30 = phi <16 x float> [ splat (float 0x0000000000000000), %pre13 ], [ %v71, %latch15 ]
  %a31 = getelementptr float, ptr %b0, i64 %r017
  %a35 = mul i64 %r017, 19
  %a36 = getelementptr float, ptr %b1, i64 %a35
  %v32 = load float, ptr %a31, align 4
  %v33 = insertelement <16 x float> poison, float %v32, i64 0
  %v34 = shufflevector <16 x float> %v33, <16 x float> poison, <16 x i32> zeroinitializer
  %v37 = load <16 x float>, ptr %a36, align 4
  %v38 = call <16 x float> @llvm.fma.v16f32(<16 x float> %v34, <16 x float> %v37, <16 x float> %c19)
  %a39 = getelementptr float, ptr %a36, i64 16
  %v40 = call <16 x float> @llvm.masked.load.v16f32.p0(ptr align 4 %a39, <16 x i1> <i1 true, i1 true, i1 true, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false>, <16 x float> zeroinitializer)
  %v41 = call <16 x float> @llvm.fma.v16f32(<16 x float> %v34, <16 x float> %v40, <16 x float> %c20)
  %a42 = getelementptr float, ptr %a31, i64 20
  %v43 = load float, ptr %a42, align 4
  %v44 = insertelement <16 x float> poison, float %v43, i64 0
  %v45 = shufflevector <16 x float> %v44, <16 x float> poison, <16 x i32> zeroinitializer
  %v46 = call <16 x float> @llvm.fma.v16f32(<16 x float> %v45, <16 x float> %v37, <16 x float> %c21)
  %v47 = call <16 x float> @llvm.fma.v16f32(<16 x float> %v45, <16 x float> %v40, <16 x float> %c22)
  %a48 = getelementptr float, ptr %a31, i64 40
  %v49 = load float, ptr %a48, align 4
  %v50 = insertelement <16 x float> poison, float %v49, i64 0
  %v51 = shufflevector <16 x float> %v50, <16 x float> poison, <16 x i32> zeroinitializer
  %v52 = call <16 x float> @llvm.fma.v16f32(<16 x float> %v51, <16 x float> %v37, <16 x float> %c23)
  %v53 = call <16 x float> @llvm.fma.v16f32(<16 x float> %v51, <16 x float> %v40, <16 x float> %c24)
  %a54 = getelementptr float, ptr %a31, i64 60
  %v55 = load float, ptr %a54, align 4
  %v56 = insertelement <16 x float> poison, float %v55, i64 0
  %v57 = shufflevector <16 x float> %v56, <16 x float> poison, <16 x i32> zeroinitializer
  %v58 = call <16 x float> @llvm.fma.v16f32(<16 x float> %v57, <16 x float> %v37, <16 x float> %c25)
  %v59 = call <16 x float> @llvm.fma.v16f32(<16 x float> %v57, <16 x float> %v40, <16 x float> %c26)
  %a60 = getelementptr float, ptr %a31, i64 80
  %v61 = load float, ptr %a60, align 4
  %v62 = insertelement <16 x float> poison, float %v61, i64 0
  %v63 = shufflevector <16 x float> %v62, <16 x float> poison, <16 x i32> zeroinitializer
  %v64 = call <16 x float> @llvm.fma.v16f32(<16 x float> %v63, <16 x float> %v37, <16 x float> %c27)
  %v65 = call <16 x float> @llvm.fma.v16f32(<16 x float> %v63, <16 x float> %v40, <16 x float> %c28)
  %a66 = getelementptr float, ptr %a31, i64 100
  %v67 = load float, ptr %a66, align 4
  %v68 = insertelement <16 x float> poison, float %v67, i64 0
  %v69 = shufflevector <16 x float> %v68, <16 x float> poison, <16 x i32> zeroinitializer
  %v70 = call <16 x float> @llvm.fma.v16f32(<16 x float> %v69, <16 x float> %v37, <16 x float> %c29)
  %v71 = call <16 x float> @llvm.fma.v16f32(<16 x float> %v69, <16 x float> %v40, <16 x float> %c30)
  br label %latch15
latch15:
  %r018 = add nuw nsw i64 %r017, 1
  %n72 = icmp ult i64 %r018, 20
  br i1 %n72, label %head14, label %done16
done16:
  %v73 = load <16 x float>, ptr %b2, align 4
  %v74 = call <16 x float> @llvm.masked.load.v16f32.p0(ptr align 4 %a12, <16 x i1> <i1 true, i1 true, i1 true, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false>, <16 x float> zeroinitializer)
  %v75 = fadd <16 x float> %v38, %v73
  %v76 = fadd <16 x float> %v41, %v74
  %v77 = fadd <16 x float> %v46, %v73
  %v78 = fadd <16 x float> %v47, %v74
  %v79 = fadd <16 x float> %v52, %v73
  %v80 = fadd <16 x float> %v53, %v74
  %v81 = fadd <16 x float> %v58, %v73
  %v82 = fadd <16 x float> %v59, %v74
  %v83 = fadd <16 x float> %v64, %v73
  %v84 = fadd <16 x float> %v65, %v74
  %v85 = fadd <16 x float> %v70, %v73
  %v86 = fadd <16 x float> %v71, %v74
  %v87 = fcmp ogt <16 x float> splat (float 0x0000000000000000), %v75
  %v88 = select <16 x i1> %v87, <16 x float> splat (float 0x0000000000000000), <16 x float> %v75
  %v89 = fcmp ogt <16 x float> splat (float 0x0000000000000000), %v76
  %v90 = select <16 x i1> %v89, <16 x float> splat (float 0x0000000000000000), <16 x float> %v76
  %v91 = fcmp ogt <16 x float> splat (float 0x0000000000000000), %v77
  %v92 = select <16 x i1> %v91, <16 x float> splat (float 0x0000000000000000), <16 x float> %v77
  %v93 = fcmp ogt <16 x float> splat (float 0x0000000000000000), %v78
  %v94 = select <16 x i1> %v93, <16 x float> splat (float 0x0000000000000000), <16 x float> %v78
  %v95 = fcmp ogt <16 x float> splat (float 0x0000000000000000), %v79
  %v96 = select <16 x i1> %v95, <16 x float> splat (float 0x0000000000000000), <16 x float> %v79
  %v97 = fcmp ogt <16 x float> splat (float 0x0000000000000000), %v80
  %v98 = select <16 x i1> %v97, <16 x float> splat (float 0x0000000000000000), <16 x float> %v80
  %v99 = fcmp ogt <16 x float> splat (float 0x0000000000000000), %v81
  %v100 = select <16 x i1> %v99, <16 x float> splat (float 0x0000000000000000), <16 x float> %v81
  %v101 = fcmp ogt <16 x float> splat (float 0x0000000000000000), %v82
  %v102 = select <16 x i1> %v101, <16 x float> splat (float 0x0000000000000000), <16 x float> %v82
  %v103 = fcmp ogt <16 x float> splat (float 0x0000000000000000), %v83
  %v104 = select <16 x i1> %v103, <16 x float> splat (float 0x0000000000000000), <16 x float> %v83
  %v105 = fcmp ogt <16 x float> splat (float 0x0000000000000000), %v84
  %v106 = select <16 x i1> %v105, <16 x float> splat (float 0x0000000000000000), <16 x float> %v84
  %v107 = fcmp ogt <16 x float> splat (float 0x0000000000000000), %v85
  %v108 = select <16 x i1> %v107, <16 x float> splat (float 0x0000000000000000), <16 x float> %v85
  %v109 = fcmp ogt <16 x float> splat (float 0x0000000000000000), %v86
  %v110 = select <16 x i1> %v109, <16 x float> splat (float 0x0000000000000000), <16 x float> %v86
  store <16 x float> %v88, ptr %b3, align 4
  %a111 = getelementptr float, ptr %b3, i64 16
  call void @llvm.masked.store.v16f32.p0(<16 x float> %v90, ptr align 4 %a111, <16 x i1> <i1 true, i1 true, i1 true, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false>)
  %a112 = getelementptr float, ptr %b3, i64 19
  store <16 x float> %v92, ptr %a112, align 4
  %a113 = getelementptr float, ptr %b3, i64 35
  call void @llvm.masked.store.v16f32.p0(<16 x float> %v94, ptr align 4 %a113, <16 x i1> <i1 true, i1 true, i1 true, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false>)
  %a114 = getelementptr float, ptr %b3, i64 38
  store <16 x float> %v96, ptr %a114, align 4
  %a115 = getelementptr float, ptr %b3, i64 54
  call void @llvm.masked.store.v16f32.p0(<16 x float> %v98, ptr align 4 %a115, <16 x i1> <i1 true, i1 true, i1 true, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false>)
  %a116 = getelementptr float, ptr %b3, i64 57
  store <16 x float> %v100, ptr %a116, align 4
  %a117 = getelementptr float, ptr %b3, i64 73
  call void @llvm.masked.store.v16f32.p0(<16 x float> %v102, ptr align 4 %a117, <16 x i1> <i1 true, i1 true, i1 true, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false>)
  %a118 = getelementptr float, ptr %b3, i64 76
  store <16 x float> %v104, ptr %a118, align 4
  %a119 = getelementptr float, ptr %b3, i64 92
  call void @llvm.masked.store.v16f32.p0(<16 x float> %v106, ptr align 4 %a119, <16 x i1> <i1 true, i1 true, i1 true, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false>)
  %a120 = getelementptr float, ptr %b3, i64 95
  store <16 x float> %v108, ptr %a120, align 4
  %a121 = getelementptr float, ptr %b3, i64 111
  call void @llvm.masked.store.v16f32.p0(<16 x float> %v110, ptr align 4 %a121, <16 x i1> <i1 true, i1 true, i1 true, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false>)
  br label %latch7
latch7:
  %p10 = add nuw nsw i64 %p9, 1
  %n122 = icmp ult i64 %p10, %n4
  br i1 %n122, label %head6, label %done8
done8:
  ret void
}

declare void @tj_27b24cacea1bf9f66712145d3d38fa68(ptr, ptr, ptr, ptr, i64, i64)
declare void @tj_barrier(ptr, i64)
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
  call void @tj_27b24cacea1bf9f66712145d3d38fa68(ptr %input_0, ptr %input_1, ptr %input_2, ptr %output_0, i64 %tid, i64 %nt)
  ret void
}
