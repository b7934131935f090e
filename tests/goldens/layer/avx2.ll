; k0
declare void @llvm.prefetch.p0(ptr, i32, i32, i32)
declare <8 x float> @llvm.fma.v8f32(<8 x float>, <8 x float>, <8 x float>)
declare <4 x float> @llvm.masked.load.v4f32.p0(ptr, <4 x i1>, <4 x float>)
declare <4 x float> @llvm.fma.v4f32(<4 x float>, <4 x float>, <4 x float>)
declare void @llvm.masked.store.v4f32.p0(<4 x float>, ptr, <4 x i1>)
define void @tj_7d78bb888be74b8afbca3a6a0f34b4db(ptr %b0, ptr %b1, ptr %b2, ptr %b3, i64 %tid, i64 %nt) nounwind "prefer-vector-width"="256" "min-legal-vector-width"="256" {
entry:
  %n1 = mul i64 %tid, 2
  %n2 = add i64 %n1, 2
  %n3 = udiv i64 %n1, %nt
  %n4 = udiv i64 %n2, %nt
  br label %pre5
pre5:
  %n11 = icmp ult i64 %n3, %n4
  br i1 %n11, label %head6, label %done8
head6:
  %p9 = phi i64 [ %n3, %pre5 ], [ %p10, %latch7 ]
  %n12 = icmp ult i64 %p9, 1
  br i1 %n12, label %then13, label %else14
then13:
  %n16 = mul i64 %p9, 16
  %a17 = getelementptr float, ptr %b2, i64 %n16
  %a40 = getelementptr float, ptr %b1, i64 %n16
  %a118 = getelementptr float, ptr %b3, i64 %n16
  call void @llvm.prefetch.p0(ptr %a17, i32 0, i32 3, i32 1)
  br label %pre18
pre18:
  br label %head19
head19:
  %r022 = phi i64 [ 0, %pre18 ], [ %r023, %latch20 ]
  %c24 = phi <8 x float> [ splat (float 0x0000000000000000), %pre18 ], [ %v44, %latch20 ]
  %c25 = phi <8 x float> [ splat (float 0x0000000000000000), %pre18 ], [ %v47, %latch20 ]
  %c26 = phi <8 x float> [ splat (float 0x0000000000000000), %pre18 ], [ %v52, %latch20 ]
  %c27 = phi <8 x float> [ splat (float 0x0000000000000000), %pre18 ], [ %v53, %latch20 ]
  %c28 = phi <8 x float> [ splat (float 0x0000000000000000), %pre18 ], [ %v58, %latch20 ]
  %c29 = phi <8 x float> [ splat (float 0x0000000000000000), %pre18 ], [ %v59, %latch20 ]
  %c30 = phi <8 x float> [ splat (float 0x0000000000000000), %pre18 ], [ %v64, %latch20 ]
  %c31 = phi <8 x float> [ splat (float 0x0000000000000000), %pre18 ], [ %v65, %latch20 ]
  %c32 = phi <8 x float> [ splat (float 0x0000000000000000), %pre18 ], [ %v70, %latch20 ]
  %c33 = phi <8 x float> [ splat (float 0x0000000000000000), %pre18 ], [ %v71, %latch20 ]
  %c34 = phi <8 x float> [ splat (float 0x0000000000000000), %pre18 ], [ %v76, %latch20 ]
  %c35 = phi <8 x float> [ splat (float 0x0000000000000000), %pre18 ], [ %v77, %latch20 ]
  %a36 = getelementptr float, ptr %b0, i64 %r022
  %a41 = mul i64 %r022, 19
  %a42 = getelementptr float, ptr %a40, i64 %a41
  %v37 = load float, ptr %a36, align 4
  %v38 = insertelement <8 x float> poison, float %v37, i64 0
  %v39 = shufflevector <8 x float> %v38, <8 x float> poison, <8 x i32> zeroinitializer
  %v43 = load <8 x float>, ptr %a42, align 4
  %v44 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v39, <8 x float> %v43, <8 x float> %c24)
  %a45 = getelementptr float, ptr %a42, i64 8
  %v46 = load <8 x float>, ptr %a45, align 4
  %v47 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v39, <8 x float> %v46, <8 x float> %c25)
  %a48 = getelementptr float, ptr %a36, i64 20
  %v49 = load float, ptr %a48, align 4
  %v50 = insertelement <8 x float> poison, float %v49, i64 0
  %v51 = shufflevector <8 x float> %v50, <8 x float> poison, <8 x i32> zeroinitializer
  %v52 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v51, <8 x float> %v43, <8 x float> %c26)
  %v53 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v51, <8 x float> %v46, <8 x float> %c27)
  %a54 = getelementptr float, ptr %a36, i64 40
  %v55 = load float, ptr %a54, align 4
  %v56 = insertelement <8 x float> poison, float %v55, i64 0
  %v57 = shufflevector <8 x float> %v56, <8 x float> poison, <8 x i32> zeroinitializer
  %v58 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v57, <8 x float> %v43, <8 x float> %c28)
  %v59 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v57, <8 x float> %v46, <8 x float> %c29)
  %a60 = getelementptr float, ptr %a36, i64 60
  %v61 = load float, ptr %a60, align 4
  %v62 = insertelement <8 x float> poison, float %v61, i64 0
  %v63 = shufflevector <8 x float> %v62, <8 x float> poison, <8 x i32> zeroinitializer
  %v64 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v63, <8 x float> %v43, <8 x float> %c30)
  %v65 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v63, <8 x float> %v46, <8 x float> %c31)
  %a66 = getelementptr float, ptr %a36, i64 80
  %v67 = load float, ptr %a66, align 4
  %v68 = insertelement <8 x float> poison, float %v67, i64 0
  %v69 = shufflevector <8 x float> %v68, <8 x float> poison, <8 x i32> zeroinitializer
  %v70 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v69, <8 x float> %v43, <8 x float> %c32)
  %v71 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v69, <8 x float> %v46, <8 x float> %c33)
  %a72 = getelementptr float, ptr %a36, i64 100
  %v73 = load float, ptr %a72, align 4
  %v74 = insertelement <8 x float> poison, float %v73, i64 0
  %v75 = shufflevector <8 x float> %v74, <8 x float> poison, <8 x i32> zeroinitializer
  %v76 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v75, <8 x float> %v43, <8 x float> %c34)
  %v77 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v75, <8 x float> %v46, <8 x float> %c35)
  br label %latch20
latch20:
  %r023 = add nuw nsw i64 %r022, 1
  %n78 = icmp ult i64 %r023, 20
  br i1 %n78, label %head19, label %done21
done21:
  %v79 = load <8 x float>, ptr %a17, align 4
  %a80 = getelementptr float, ptr %a17, i64 8
  %v81 = load <8 x float>, ptr %a80, align 4
  %v82 = fadd <8 x float> %v44, %v79
  %v83 = fadd <8 x float> %v52, %v79
  %v84 = fadd <8 x float> %v58, %v79
  %v85 = fadd <8 x float> %v64, %v79
  %v86 = fadd <8 x float> %v70, %v79
  %v87 = fadd <8 x float> %v76, %v79
  %v88 = fadd <8 x float> %v47, %v81
  %v89 = fadd <8 x float> %v53, %v81
  %v90 = fadd <8 x float> %v59, %v81
  %v91 = fadd <8 x float> %v65, %v81
  %v92 = fadd <8 x float> %v71, %v81
  %v93 = fadd <8 x float> %v77, %v81
  %v94 = fcmp ogt <8 x float> splat (float 0x0000000000000000), %v82
  %v95 = select <8 x i1> %v94, <8 x float> splat (float 0x0000000000000000), <8 x float> %v82
  %v96 = fcmp ogt <8 x float> splat (float 0x0000000000000000), %v83
  %v97 = select <8 x i1> %v96, <8 x float> splat (float 0x0000000000000000), <8 x float> %v83
  %v98 = fcmp ogt <8 x float> splat (float 0x0000000000000000), %v84
  %v99 = select <8 x i1> %v98, <8 x float> splat (float 0x0000000000000000), <8 x float> %v84
  %v100 = fcmp ogt <8 x float> splat (float 0x0000000000000000), %v85
  %v101 = select <8 x i1> %v100, <8 x float> splat (float 0x0000000000000000), <8 x float> %v85
  %v102 = fcmp ogt <8 x float> splat (float 0x0000000000000000), %v86
  %v103 = select <8 x i1> %v102, <8 x float> splat (float 0x0000000000000000), <8 x float> %v86
  %v104 = fcmp ogt <8 x float> splat (float 0x0000000000000000), %v87
  %v105 = select <8 x i1> %v104, <8 x float> splat (float 0x0000000000000000), <8 x float> %v87
  %v106 = fcmp ogt <8 x float> splat (float 0x0000000000000000), %v88
  %v107 = select <8 x i1> %v106, <8 x float> splat (float 0x0000000000000000), <8 x float> %v88
  %v108 = fcmp ogt <8 x float> splat (float 0x0000000000000000), %v89
  %v109 = select <8 x i1> %v108, <8 x float> splat (float 0x0000000000000000), <8 x float> %v89
  %v110 = fcmp ogt <8 x float> splat (float 0x0000000000000000), %v90
  %v111 = select <8 x i1> %v110, <8 x float> splat (float 0x0000000000000000), <8 x float> %v90
  %v112 = fcmp ogt <8 x float> splat (float 0x0000000000000000), %v91
  %v113 = select <8 x i1> %v112, <8 x float> splat (float 0x0000000000000000), <8 x float> %v91
  %v114 = fcmp ogt <8 x float> splat (float 0x0000000000000000), %v92
  %v115 = select <8 x i1> %v114, <8 x float> splat (float 0x0000000000000000), <8 x float> %v92
  %v116 = fcmp ogt <8 x float> splat (float 0x0000000000000000), %v93
  %v117 = select <8 x i1> %v116, <8 x float> splat (float 0x0000000000000000), <8 x float> %v93
  store <8 x float> %v95, ptr %a118, align 4
  %a119 = getelementptr float, ptr %a118, i64 19
  store <8 x float> %v97, ptr %a119, align 4
  %a120 = getelementptr float, ptr %a118, i64 38
  store <8 x float> %v99, ptr %a120, align 4
  %a121 = getelementptr float, ptr %a118, i64 57
  store <8 x float> %v101, ptr %a121, align 4
  %a122 = getelementptr float, ptr %a118, i64 76
  store <8 x float> %v103, ptr %a122, align 4
  %a123 = getelementptr float, ptr %a118, i64 95
  store <8 x float> %v105, ptr %a123, align 4
  %a124 = getelementptr float, ptr %a118, i64 8
  store <8 x float> %v107, ptr %a124, align 4
  %a125 = getelementptr float, ptr %a118, i64 27
  store <8 x float> %v109, ptr %a125, align 4
  %a126 = getelementptr float, ptr %a118, i64 46
  store <8 x float> %v111, ptr %a126, align 4
  %a127 = getelementptr float, ptr %a118, i64 65
  store <8 x float> %v113, ptr %a127, align 4
  %a128 = getelementptr float, ptr %a118, i64 84
  store <8 x float> %v115, ptr %a128, align 4
  %a129 = getelementptr float, ptr %a118, i64 103
  store <8 x float> %v117, ptr %a129, align 4
  br label %done15
else14:
  %a130 = getelementptr float, ptr %b2, i64 16
  call void @llvm.prefetch.p0(ptr %a130, i32 0, i32 3, i32 1)
  br label %pre131
pre131:
  br label %head132
head132:
  %r0135 = phi i64 [ 0, %pre131 ], [ %r0136, %latch133 ]
  %c137 = phi <4 x float> [ splat (float 0x0000000000000000), %pre131 ], [ %v151, %latch133 ]
  %c138 = phi <4 x float> [ splat (float 0x0000000000000000), %pre131 ], [ %v156, %latch133 ]
  %c139 = phi <4 x float> [ splat (float 0x0000000000000000), %pre131 ], [ %v161, %latch133 ]
  %c140 = phi <4 x float> [ splat (float 0x0000000000000000), %pre131 ], [ %v166, %latch133 ]
  %c141 = phi <4 x float> [ splat (float 0x0000000000000000), %pre131 ], [ %v171, %latch133 ]
  %c142 = phi <4 x float> [ splat (float 0x0000000000000000), %pre131 ], [ %v176, %latch133 ]
  %a143 = getelementptr float, ptr %b0, i64 %r0135
  %a147 = mul i64 %r0135, 19
  %a148 = getelementptr float, ptr %b1, i64 %a147
  %v144 = load float, ptr %a143, align 4
  %v145 = insertelement <4 x float> poison, float %v144, i64 0
  %v146 = shufflevector <4 x float> %v145, <4 x float> poison, <4 x i32> zeroinitializer
  %a149 = getelementptr float, ptr %a148, i64 16
  %v150 = call <4 x float> @llvm.masked.load.v4f32.p0(ptr align 4 %a149, <4 x i1> <i1 true, i1 true, i1 true, i1 false>, <4 x float> zeroinitializer)
  %v151 = call <4 x float> @llvm.fma.v4f32(<4 x float> %v146, <4 x float> %v150, <4 x float> %c137)
  %a152 = getelementptr float, ptr %a143, i64 20
  %v153 = load float, ptr %a152, align 4
  %v154 = insertelement <4 x float> poison, float %v153, i64 0
  %v155 = shufflevector <4 x float> %v154, <4 x float> poison, <4 x i32> zeroinitializer
  %v156 = call <4 x float> @llvm.fma.v4f32(<4 x float> %v155, <4 x float> %v150, <4 x float> %c138)
  %a157 = getelementptr float, ptr %a143, i64 40
  %v158 = load float, ptr %a157, align 4
  %v159 = insertelement <4 x float> poison, float %v158, i64 0
  %v160 = shufflevector <4 x float> %v159, <4 x float> poison, <4 x i32> zeroinitializer
  %v161 = call <4 x float> @llvm.fma.v4f32(<4 x float> %v160, <4 x float> %v150, <4 x float> %c139)
  %a162 = getelementptr float, ptr %a143, i64 60
  %v163 = load float, ptr %a162, align 4
  %v164 = insertelement <4 x float> poison, float %v163, i64 0
  %v165 = shufflevector <4 x float> %v164, <4 x float> poison, <4 x i32> zeroinitializer
  %v166 = call <4 x float> @llvm.fma.v4f32(<4 x float> %v165, <4 x float> %v150, <4 x float> %c140)
  %a167 = getelementptr float, ptr %a143, i64 80
  %v168 = load float, ptr %a167, align 4
  %v169 = insertelement <4 x float> poison, float %v168, i64 0
  %v170 = shufflevector <4 x float> %v169, <4 x float> poison, <4 x i32> zeroinitializer
  %v171 = call <4 x float> @llvm.fma.v4f32(<4 x float> %v170, <4 x float> %v150, <4 x float> %c141)
  %a172 = getelementptr float, ptr %a143, i64 100
  %v173 = load float, ptr %a172, align 4
  %v174 = insertelement <4 x float> poison, float %v173, i64 0
  %v175 = shufflevector <4 x float> %v174, <4 x float> poison, <4 x i32> zeroinitializer
  %v176 = call <4 x float> @llvm.fma.v4f32(<4 x float> %v175, <4 x float> %v150, <4 x float> %c142)
  br label %latch133
latch133:
  %r0136 = add nuw nsw i64 %r0135, 1
  %n177 = icmp ult i64 %r0136, 20
  br i1 %n177, label %head132, label %done134
done134:
  %v178 = call <4 x float> @llvm.masked.load.v4f32.p0(ptr align 4 %a130, <4 x i1> <i1 true, i1 true, i1 true, i1 false>, <4 x float> zeroinitializer)
  %v179 = fadd <4 x float> %v151, %v178
  %v180 = fadd <4 x float> %v156, %v178
  %v181 = fadd <4 x float> %v161, %v178
  %v182 = fadd <4 x float> %v166, %v178
  %v183 = fadd <4 x float> %v171, %v178
  %v184 = fadd <4 x float> %v176, %v178
  %v185 = fcmp ogt <4 x float> splat (float 0x0000000000000000), %v179
  %v186 = select <4 x i1> %v185, <4 x float> splat (float 0x0000000000000000), <4 x float> %v179
  %v187 = fcmp ogt <4 x float> splat (float 0x0000000000000000), %v180
  %v188 = select <4 x i1> %v187, <4 x float> splat (float 0x0000000000000000), <4 x float> %v180
  %v189 = fcmp ogt <4 x float> splat (float 0x0000000000000000), %v181
  %v190 = select <4 x i1> %v189, <4 x float> splat (float 0x0000000000000000), <4 x float> %v181
  %v191 = fcmp ogt <4 x float> splat (float 0x0000000000000000), %v182
  %v192 = select <4 x i1> %v191, <4 x float> splat (float 0x0000000000000000), <4 x float> %v182
  %v193 = fcmp ogt <4 x float> splat (float 0x0000000000000000), %v183
  %v194 = select <4 x i1> %v193, <4 x float> splat (float 0x0000000000000000), <4 x float> %v183
  %v195 = fcmp ogt <4 x float> splat (float 0x0000000000000000), %v184
  %v196 = select <4 x i1> %v195, <4 x float> splat (float 0x0000000000000000), <4 x float> %v184
  %a197 = getelementptr float, ptr %b3, i64 16
  call void @llvm.masked.store.v4f32.p0(<4 x float> %v186, ptr align 4 %a197, <4 x i1> <i1 true, i1 true, i1 true, i1 false>)
  %a198 = getelementptr float, ptr %b3, i64 35
  call void @llvm.masked.store.v4f32.p0(<4 x float> %v188, ptr align 4 %a198, <4 x i1> <i1 true, i1 true, i1 true, i1 false>)
  %a199 = getelementptr float, ptr %b3, i64 54
  call void @llvm.masked.store.v4f32.p0(<4 x float> %v190, ptr align 4 %a199, <4 x i1> <i1 true, i1 true, i1 true, i1 false>)
  %a200 = getelementptr float, ptr %b3, i64 73
  call void @llvm.masked.store.v4f32.p0(<4 x float> %v192, ptr align 4 %a200, <4 x i1> <i1 true, i1 true, i1 true, i1 false>)
  %a201 = getelementptr float, ptr %b3, i64 92
  call void @llvm.masked.store.v4f32.p0(<4 x float> %v194, ptr align 4 %a201, <4 x i1> <i1 true, i1 true, i1 true, i1 false>)
  %a202 = getelementptr float, ptr %b3, i64 111
  call void @llvm.masked.store.v4f32.p0(<4 x float> %v196, ptr align 4 %a202, <4 x i1> <i1 true, i1 true, i1 true, i1 false>)
  br label %done15
done15:
  br label %latch7
latch7:
  %p10 = add nuw nsw i64 %p9, 1
  %n203 = icmp ult i64 %p10, %n4
  br i1 %n203, label %head6, label %done8
done8:
  ret void
}

declare void @tj_7d78bb888be74b8afbca3a6a0f34b4db(ptr, ptr, ptr, ptr, i64, i64)
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
  call void @tj_7d78bb888be74b8afbca3a6a0f34b4db(ptr %input_0, ptr %input_1, ptr %input_2, ptr %output_0, i64 %tid, i64 %nt)
  ret void
}
